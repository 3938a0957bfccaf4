//! What a Rust program does with arrow-flight's Flight SQL client.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, Decimal128Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetTables, CommandStatementIngest, SqlInfo,
    EndTransaction,
    TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::FlightInfo;
use arrow_schema::{DataType, Field, Schema};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

type Client = FlightSqlServiceClient<Channel>;

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

async fn channel() -> Channel {
    let address = format!("http://{}:{}", setting("PONDPILOT_HOST"), setting("PONDPILOT_PORT"));
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

async fn connect() -> Client {
    let mut client = FlightSqlServiceClient::new(channel().await);
    client.set_token(setting("PONDPILOT_TOKEN"));
    client
}

async fn read(client: &mut Client, info: FlightInfo) -> Result<Vec<RecordBatch>, FlightError> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.expect("a ticket");
        let stream = client.do_get(ticket).await?;
        let mut read: Vec<RecordBatch> = stream.try_collect().await?;
        batches.append(&mut read);
    }
    Ok(batches)
}

async fn query(client: &mut Client, sql: &str) -> Vec<RecordBatch> {
    let info = client.execute(sql.to_string(), None).await.unwrap();
    read(client, info).await.unwrap()
}

async fn number(client: &mut Client, sql: &str) -> i64 {
    let batches = query(client, sql).await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn texts(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let mut found = Vec::new();
    for batch in batches {
        let array = batch.column_by_name(column).unwrap().as_string::<i32>();
        found.extend(array.iter().map(|text| text.unwrap_or("").to_string()));
    }
    found
}

// docs: begin
async fn customers(host: &str, port: &str, token: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let channel = Endpoint::from_shared(format!("http://{host}:{port}"))?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(token.to_string());
    let info = client.execute("SELECT name, country FROM shop.customers".to_string(), None).await?;
    let ticket = info.endpoint[0].ticket.clone().ok_or("no ticket")?;
    let batches: Vec<RecordBatch> = client.do_get(ticket).await?.try_collect().await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}
// docs: end

#[tokio::test]
async fn quick_start() {
    let found = customers(&setting("PONDPILOT_HOST"), &setting("PONDPILOT_PORT"), &setting("PONDPILOT_TOKEN")).await;
    assert_eq!(found.unwrap(), 40);
}

#[tokio::test]
async fn handshake_takes_the_token_as_password() {
    let mut client = FlightSqlServiceClient::new(channel().await);
    client.handshake("anybody", &setting("PONDPILOT_TOKEN")).await.unwrap();
    assert_eq!(number(&mut client, "SELECT 42::BIGINT").await, 42);
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let mut client = FlightSqlServiceClient::new(channel().await);
    assert!(client.handshake("anybody", "nonsense").await.is_err());
    client.set_token("nonsense".to_string());
    let error = client.execute("SELECT 1".to_string(), None).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("token"), "{error}");
}

#[tokio::test]
async fn a_large_result() {
    let mut client = connect().await;
    let batches = query(&mut client, "SELECT range AS i, 'row ' || range AS t FROM range(1000000)").await;
    assert_eq!(rows(&batches), 1_000_000);
    let last = batches.last().unwrap();
    assert_eq!(last.column(0).as_primitive::<Int64Type>().value(last.num_rows() - 1), 999_999);
}

#[tokio::test]
async fn types() {
    let mut client = connect().await;
    let batches = query(
        &mut client,
        "SELECT 12.34::DECIMAL(9,2) AS d, [1, NULL]::BIGINT[] AS l, {'a': 'x'} AS s, MAP {'k': 1} AS m, NULL::VARCHAR AS n, \
         'x'::ENUM('x', 'y') AS e, uuid() AS u, 170141183460469231731687303715884105727::HUGEINT % 10 AS h",
    )
    .await;
    let batch = &batches[0];
    assert_eq!(batch.schema().field(0).data_type(), &DataType::Decimal128(9, 2));
    assert_eq!(batch.column(0).as_primitive::<Decimal128Type>().value(0), 1234);
    assert!(batch.column(1).as_list::<i32>().value(0).is_null(1));
    assert!(batch.column(4).is_null(0));
    assert_eq!(texts(&batches, "e"), ["x"]);
    assert_eq!(texts(&batches, "u")[0].len(), 36);
}

#[tokio::test]
async fn changes_are_counted() {
    let mut client = connect().await;
    assert_eq!(client.execute_update("CREATE OR REPLACE TABLE rust_counts (a BIGINT, t VARCHAR)".to_string(), None).await.unwrap(), 0);
    assert_eq!(client.execute_update("INSERT INTO rust_counts SELECT range, 'x' FROM range(7)".to_string(), None).await.unwrap(), 7);
    assert_eq!(client.execute_update("DELETE FROM rust_counts WHERE a < 3".to_string(), None).await.unwrap(), 3);
    client.execute_update("DROP TABLE rust_counts".to_string(), None).await.unwrap();
}

#[tokio::test]
async fn prepared_statements() {
    let mut client = connect().await;
    let mut statement = client.prepare("SELECT $1::BIGINT * 2 AS twice, $2::VARCHAR AS t".to_string(), None).await.unwrap();
    assert_eq!(statement.parameter_schema().unwrap().fields().len(), 2);
    assert_eq!(statement.dataset_schema().unwrap().field(0).name(), "twice");
    let schema = Arc::new(Schema::new(vec![Field::new("1", DataType::Int64, true), Field::new("2", DataType::Utf8, true)]));
    for value in [1, 21] {
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![value])), Arc::new(StringArray::from(vec![None::<&str>]))];
        statement.set_parameters(RecordBatch::try_new(schema.clone(), columns).unwrap()).unwrap();
        let info = statement.execute().await.unwrap();
        let batches = read(&mut client, info).await.unwrap();
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), value * 2);
        assert!(batches[0].column(1).is_null(0));
    }
    statement.close().await.unwrap();
}

#[tokio::test]
async fn a_prepared_change_runs_for_each_row() {
    let mut client = connect().await;
    client.execute_update("CREATE OR REPLACE TABLE rust_many (a BIGINT)".to_string(), None).await.unwrap();
    let mut statement = client.prepare("INSERT INTO rust_many VALUES (?)".to_string(), None).await.unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("1", DataType::Int64, true)]));
    let column: ArrayRef = Arc::new(Int64Array::from((0..500).collect::<Vec<i64>>()));
    statement.set_parameters(RecordBatch::try_new(schema, vec![column]).unwrap()).unwrap();
    assert_eq!(statement.execute_update().await.unwrap(), 500);
    statement.close().await.unwrap();
    assert_eq!(number(&mut client, "SELECT sum(a)::BIGINT FROM rust_many").await, 124_750);
    client.execute_update("DROP TABLE rust_many".to_string(), None).await.unwrap();
}

#[tokio::test]
async fn transactions() {
    let mut client = connect().await;
    client.execute_update("CREATE OR REPLACE TABLE rust_ledger (a BIGINT)".to_string(), None).await.unwrap();
    for (action, expected) in [(EndTransaction::Rollback, 0), (EndTransaction::Commit, 1)] {
        let transaction = client.begin_transaction().await.unwrap();
        let inserted = client.execute_update("INSERT INTO rust_ledger VALUES (1)".to_string(), Some(transaction.clone())).await;
        assert_eq!(inserted.unwrap(), 1);
        client.end_transaction(transaction, action).await.unwrap();
        assert_eq!(number(&mut client, "SELECT count(*) FROM rust_ledger").await, expected);
    }
    client.execute_update("DROP TABLE rust_ledger".to_string(), None).await.unwrap();
}

#[tokio::test]
async fn ingest() {
    let mut client = connect().await;
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let batch = |from: i64| {
        let column: ArrayRef = Arc::new(Int64Array::from((from..from + 1000).collect::<Vec<i64>>()));
        Ok::<_, FlightError>(RecordBatch::try_new(schema.clone(), vec![column]).unwrap())
    };
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: TableExistsOption::Replace.into(),
        }),
        table: "rust_loaded".to_string(),
        schema: None,
        catalog: None,
        temporary: false,
        transaction_id: None,
        options: HashMap::new(),
    };
    let loaded = client.execute_ingest(command, futures::stream::iter(vec![batch(0), batch(1000)])).await.unwrap();
    assert_eq!(loaded, 2000);
    assert_eq!(number(&mut client, "SELECT sum(a)::BIGINT FROM rust_loaded").await, 1_999_000);
    client.execute_update("DROP TABLE rust_loaded".to_string(), None).await.unwrap();
}

#[tokio::test]
async fn metadata() {
    let mut client = connect().await;
    let info = client.get_catalogs().await.unwrap();
    assert!(texts(&read(&mut client, info).await.unwrap(), "catalog_name").contains(&"shop".to_string()));
    let schemas = CommandGetDbSchemas { catalog: Some("shop".to_string()), db_schema_filter_pattern: None };
    let info = client.get_db_schemas(schemas).await.unwrap();
    assert_eq!(texts(&read(&mut client, info).await.unwrap(), "db_schema_name"), ["main"]);
    let tables = CommandGetTables {
        catalog: Some("shop".to_string()),
        db_schema_filter_pattern: None,
        table_name_filter_pattern: Some("order%".to_string()),
        table_types: vec!["TABLE".to_string()],
        include_schema: true,
    };
    let info = client.get_tables(tables).await.unwrap();
    assert_eq!(texts(&read(&mut client, info).await.unwrap(), "table_name"), ["order_items", "orders"]);
    let info = client.get_table_types().await.unwrap();
    assert_eq!(texts(&read(&mut client, info).await.unwrap(), "table_type"), ["TABLE", "VIEW"]);
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
    assert_eq!(rows(&read(&mut client, info).await.unwrap()), 1);
    let info = client.get_xdbc_type_info(Default::default()).await.unwrap();
    assert!(rows(&read(&mut client, info).await.unwrap()) > 10);
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let mut client = connect().await;
    let error = client.execute("SELECT * FROM no_such_table".to_string(), None).await.unwrap_err();
    assert!(error.to_string().contains("no_such_table"), "{error}");
    assert_eq!(number(&mut client, "SELECT 42::BIGINT").await, 42);
}

#[tokio::test]
async fn a_dropped_stream_stops_its_statement() {
    let mut client = connect().await;
    let info = client.execute("SELECT * FROM range(100000000000)".to_string(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    assert_eq!(number(&mut client, "SELECT 42::BIGINT").await, 42);
}
