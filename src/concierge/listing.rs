//! Pages of a collection, each read in one statement: the caller, the total and the resources.
//!
//! The cost does not grow with the table.
//! Pages follow an index, the next page starts after the last resource, and counting stops at [`COUNTED`].

use std::fmt::Write;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Row};

use crate::accounts::caller::{self, Access, Caller, Credentials};
use crate::database::StoreError;
use crate::jsonapi::document::id_number;
use crate::jsonapi::links::COUNTED;
use crate::jsonapi::query::{Query, SortKey, Start, split_resource};
use crate::jsonapi::schema::{Filter, Values};
use crate::jsonapi::since::Since;

/// Source of a collection's resources.
#[derive(Debug)]
pub struct Table<T> {
    /// A table, or a query in brackets; its alias is `t`.
    pub name: &'static str,
    /// Columns to read, the id first.
    pub columns: &'static str,
    /// Left joins from `t` for the columns.
    pub joins: &'static str,
    /// Further conditions on `t`, beginning with `and`.
    pub condition: &'static str,
    /// Reads one resource from a row; its columns start at the index.
    pub read: fn(&PgRow, usize) -> Result<T, sqlx::Error>,
}

/// A page from the database.
#[derive(Debug)]
pub struct Listing<T> {
    pub caller: Caller,
    pub resources: Vec<T>,
    /// True if the collection continues in the direction of reading.
    pub more: bool,
    pub total: Option<i64>,
}

/// Index of the table's first column.
const FIRST_COLUMN: usize = caller::COLUMNS + 1;

impl<T> Table<T> {
    /// Reads the page of `query`.
    ///
    /// # Errors
    /// 401 if the caller is not allowed; database errors.
    pub async fn page(
        &self,
        connection: &mut PgConnection,
        credentials: &Credentials,
        query: &Query,
    ) -> Result<Listing<T>, StoreError> {
        let (sql, arguments) = self.statement(credentials, query)?;
        let rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(connection).await?;
        let caller = Caller::authorize(rows.first(), Access::Read)?;
        let total = rows.first().map(|row| row.try_get(caller::COLUMNS)).transpose()?.filter(|total| *total <= COUNTED);
        let mut resources = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<Option<i64>, _>(FIRST_COLUMN)?.is_some() {
                resources.push((self.read)(row, FIRST_COLUMN)?);
            }
        }
        let more = resources.len() > query.page.size as usize;
        resources.truncate(query.page.size as usize);
        if matches!(query.page.start, Start::Before(_)) {
            resources.reverse();
        }
        Ok(Listing { caller, resources, more, total })
    }

    fn statement(&self, credentials: &Credentials, query: &Query) -> Result<(String, PgArguments), sqlx::Error> {
        let mut arguments = PgArguments::default();
        arguments.add(credentials.key_sha256.as_slice()).map_err(sqlx::Error::Encode)?;
        arguments.add(credentials.acting_as).map_err(sqlx::Error::Encode)?;
        let Self { name, columns, joins, condition, .. } = self;
        let mut matches = format!("t.account_id = (select account_id from caller) {condition}");
        for (filter, values) in &query.filters {
            matches += &compare(filter, values, &mut arguments).map_err(sqlx::Error::Encode)?;
        }
        let mut keys = order(&query.sort);
        if matches!(query.page.start, Start::Before(_)) {
            for key in &mut keys {
                key.descending = !key.descending;
            }
        }
        let mut place = String::new();
        let mut offset = 0;
        match query.page.start {
            Start::Number(number) => offset = u64::from(number - 1) * u64::from(query.page.size),
            Start::Offset(passed) => offset = u64::from(passed),
            Start::After(id) | Start::Before(id) => {
                arguments.add(id).map_err(sqlx::Error::Encode)?;
                place = format!(" and ({})", self.after_cursor(&keys, arguments.len()));
            }
        }
        let order = keys.iter().map(|key| format!("t.{} {}", key.name, if key.descending { "desc" } else { "asc" }));
        let order = order.collect::<Vec<_>>().join(", ");
        let (limit, counted) = (query.page.size + 1, COUNTED + 1);
        let sql = format!(
            "with {caller}, page as (
                select t.* from {name} t where {matches}{place} order by {order} limit {limit} offset {offset}
            )
            select {caller_columns},
                (select count(*) from (select 1 from {name} t where {matches} limit {counted}) counted),
                {columns}
            from caller c left join page t on true {joins} order by {order}",
            caller = crate::caller!(),
            caller_columns = crate::caller_columns!(),
        );
        Ok((sql, arguments))
    }

    /// Returns the condition for rows after a resource in the order of `keys`.
    /// `argument` is the number of the parameter with its id.
    fn after_cursor(&self, keys: &[SortKey], argument: usize) -> String {
        if let [SortKey { name: "id", descending }] = keys {
            return format!("t.id {} ${argument}", if *descending { "<" } else { ">" });
        }
        let names = |table: &str| keys.iter().map(|key| format!("{table}.{}", key.name)).collect::<Vec<_>>().join(", ");
        let cursor = |columns: String| {
            let name = self.name;
            format!(
                "(select {columns} from {name} k where k.account_id = (select account_id from caller) and k.id = ${argument})"
            )
        };
        if keys.iter().all(|key| key.descending == keys[0].descending) {
            let than = if keys[0].descending { "<" } else { ">" };
            return format!("({}) {than} {}", names("t"), cursor(names("k")));
        }
        let mut alternatives = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let mut all: Vec<String> = Vec::new();
            for same in &keys[..index] {
                all.push(format!("t.{} = {}", same.name, cursor(format!("k.{}", same.name))));
            }
            let than = if key.descending { "<" } else { ">" };
            all.push(format!("t.{} {than} {}", key.name, cursor(format!("k.{}", key.name))));
            alternatives.push(all.join(" and "));
        }
        alternatives.join(" or ")
    }
}

/// Returns the condition of a filter, beginning with `and`.
fn compare(filter: &Filter, values: &[String], arguments: &mut PgArguments) -> Result<String, BoxDynError> {
    let column = filter.column;
    match (filter.values, values) {
        (Values::Resource(_), [value]) => {
            let (type_name, id) = split_resource(value);
            arguments.add(type_name)?;
            let mut condition = format!(" and t.{column}_type = ${}", arguments.len());
            if let Some(id) = id {
                arguments.add(id_number(id))?;
                write!(condition, " and t.{column}_id = ${}", arguments.len())?;
            }
            return Ok(condition);
        }
        (Values::Since, [value]) => {
            let than = match Since::read(value).ok_or(Since::EXPECTED)? {
                Since::Id(id) => {
                    arguments.add(id)?;
                    "id >"
                }
                Since::Time(time) => {
                    arguments.add(time)?;
                    &format!("{column} >=")
                }
            };
            return Ok(format!(" and t.{than} ${}", arguments.len()));
        }
        (Values::Ids, _) => arguments.add(values.iter().map(|id| id_number(id)).collect::<Vec<_>>())?,
        (Values::Boolean, _) => arguments.add(values.iter().map(|value| value == "true").collect::<Vec<_>>())?,
        (Values::OneOf(_) | Values::Text | Values::Resource(_) | Values::Since | Values::Checked { .. }, _) => {
            arguments.add(values)?;
        }
    }
    // a single value is compared with `=`, so that the index yields the page in order
    let any = if let [_] = values { ("(", ")[1]") } else { ("any(", ")") };
    Ok(format!(" and t.{column} = {}${}{}", any.0, arguments.len(), any.1))
}

/// Returns the keys of a total order: the sort keys of the query, then the id.
fn order(sort: &[SortKey]) -> Vec<SortKey> {
    let mut keys: Vec<SortKey> = Vec::new();
    for key in sort {
        keys.push(*key);
        if key.name == "id" {
            return keys;
        }
    }
    let descending = keys.last().is_some_and(|key| key.descending);
    keys.push(SortKey { name: "id", descending });
    keys
}
