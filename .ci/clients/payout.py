"""Makes the documented payout with the generated Python client, from a fresh account to the receipt."""

import sys

from concierge import AuthenticatedClient
from concierge.api.clock import freeze_clock, settle
from concierge.api.events import list_events
from concierge.api.outputs import create_output, get_output, list_outputs
from concierge.api.requests import accept_quote, get_request, request_quote
from concierge.models import ConciergeRequestOutputsCreation, ErrorDocument


def document(amount):
    """Returns the body of an output."""
    return ConciergeRequestOutputsCreation.from_dict({"data": {
        "type": "concierge_request_outputs",
        "attributes": {"port_code": "cl_clp", "amount": amount},
        "relationships": {
            "request": {"data": {"id": 1010, "type": "concierge_requests"}},
            "withdrawal_instruction": {"data": {"id": 2121, "type": "withdrawal_instructions"}},
            "user": {"data": {"id": 20202, "type": "users"}},
        },
    }})


def main():
    base = sys.argv[1]
    client = AuthenticatedClient(base_url=base, token="python-client", prefix="", raise_on_unexpected_status=True)
    clock = freeze_clock.sync(client=client)
    assert clock.frozen, clock

    refused = create_output.sync(client=client, body=document(-1))
    assert isinstance(refused, ErrorDocument), refused
    assert refused.errors[0].code == "amount_not_positive", refused
    assert refused.errors[0].source.pointer == "/data/attributes/amount", refused

    output = create_output.sync(client=client, body=document(1000)).data
    assert (output.id, output.attributes.state) == ("32323", "accepting"), output
    settle.sync(client=client)
    assert get_output.sync(output.id, client=client).data.attributes.state == "accepted"
    assert request_quote.sync("1010", client=client).data.attributes.state == "quote_requested"
    quoted = get_request.sync("1010", client=client).data.attributes
    assert quoted.state == "quoted" and quoted.total_to_spend > 0 and quoted.outputs_count == 1, quoted
    accept_quote.sync("1010", client=client)
    moved = settle.sync(client=client)
    assert len(moved.happened) > 3, moved
    finished = get_request.sync("1010", client=client).data.attributes
    assert finished.state == "finished" and finished.receipt_url.startswith(base + "/receipts/"), finished
    outputs = list_outputs.sync(client=client)
    assert [listed.attributes.state for listed in outputs.data] == ["settled"], outputs
    assert outputs.meta.total == 1 and outputs.links.next_ is None, outputs
    events = list_events.sync(client=client)
    assert events.data[-1].attributes.event_type == "concierge_request_receipt_created", events.data[-1]
    print(f"output {output.id}: {len(events.data)} events, {finished.receipt_url}")


main()
