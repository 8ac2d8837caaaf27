//! Delays between retries, for any retry schedule.

use std::time::Duration;

use concierge_sandbox::webhooks::retries::Retries;
use proptest::prelude::*;

use super::cases;

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn retry_delay_is_within_a_tenth_of_its_step(
        steps in prop::collection::vec(0..100_000_u64, 0..12),
        (seed, account, event) in (any::<u64>(), any::<[u8; 32]>(), any::<i64>()),
        tries in 0..20_usize,
    ) {
        let delays: Vec<Duration> = steps.iter().map(|seconds| Duration::from_secs(*seconds)).collect();
        let retries = Retries { delays: delays.clone(), seed };
        let delay = retries.delay(&account, event, tries, None);
        prop_assert_eq!(delay, retries.delay(&account, event, tries, None), "a repeated call must give the same delay");
        match tries.checked_sub(1).and_then(|step| delays.get(step)) {
            Some(step) => {
                let delay = delay.unwrap();
                prop_assert!(delay >= step.mul_f64(0.9).saturating_sub(Duration::from_millis(1)), "{delay:?} of {step:?}");
                prop_assert!(delay <= step.mul_f64(1.1), "{delay:?} of {step:?}");
                let asked = Some(Duration::from_hours(1));
                let asked = retries.delay(&account, event, tries, asked).unwrap();
                prop_assert_eq!(asked, delay.max(Duration::from_hours(1)));
            }
            None => prop_assert_eq!(delay, None),
        }
    }
}
