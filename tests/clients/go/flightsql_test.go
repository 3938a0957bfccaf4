package clients

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// The client below ADBC's driver, with the token in the context.
func connect(t *testing.T) (*flightsql.Client, context.Context) {
	t.Helper()
	address := os.Getenv("PONDPILOT_HOST") + ":" + os.Getenv("PONDPILOT_PORT")
	client, err := flightsql.NewClient(address, nil, nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Getenv("PONDPILOT_TOKEN"))
}

func read(t *testing.T, ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, err error) []arrow.RecordBatch {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var batches []arrow.RecordBatch
	for _, endpoint := range info.Endpoint {
		reader, err := client.DoGet(ctx, endpoint.Ticket)
		if err != nil {
			t.Fatal(err)
		}
		for reader.Next() {
			batch := reader.RecordBatch()
			batch.Retain()
			batches = append(batches, batch)
		}
		if err := reader.Err(); err != nil {
			t.Fatal(err)
		}
		reader.Release()
	}
	return batches
}

func texts(batches []arrow.RecordBatch, column string) (found []string) {
	for _, batch := range batches {
		at := batch.Schema().FieldIndices(column)[0]
		values := batch.Column(at).(*array.String)
		for i := range values.Len() {
			found = append(found, values.Value(i))
		}
	}
	return found
}

func TestFlightSqlQuery(t *testing.T) {
	client, ctx := connect(t)
	info, err := client.Execute(ctx, "SELECT range AS i FROM range(1000000)")
	rows := int64(0)
	for _, batch := range read(t, ctx, client, info, err) {
		rows += batch.NumRows()
	}
	if rows != 1000000 {
		t.Fatal(rows)
	}
}

func TestFlightSqlHandshake(t *testing.T) {
	client, _ := connect(t)
	ctx, err := client.Client.AuthenticateBasicToken(context.Background(), "anybody", os.Getenv("PONDPILOT_TOKEN"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.Execute(ctx, "SELECT 'let in' AS t")
	if found := texts(read(t, ctx, client, info, err), "t"); !slices.Equal(found, []string{"let in"}) {
		t.Fatal(found)
	}
}

func TestFlightSqlPrepared(t *testing.T) {
	client, ctx := connect(t)
	statement, err := client.Prepare(ctx, "SELECT $1::BIGINT * 2 AS twice, $2::VARCHAR AS t")
	if err != nil {
		t.Fatal(err)
	}
	defer statement.Close(ctx)
	if statement.ParameterSchema().NumFields() != 2 || statement.DatasetSchema().Field(0).Name != "twice" {
		t.Fatal(statement.ParameterSchema(), statement.DatasetSchema())
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "1", Type: arrow.PrimitiveTypes.Int64}, {Name: "2", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	builder.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 21}, nil)
	builder.Field(1).(*array.StringBuilder).AppendValues([]string{"x", ""}, []bool{true, false})
	statement.SetParameters(builder.NewRecordBatch())
	info, err := statement.Execute(ctx)
	var twice []int64
	for _, batch := range read(t, ctx, client, info, err) {
		twice = append(twice, batch.Column(0).(*array.Int64).Int64Values()...)
	}
	if !slices.Equal(twice, []int64{2, 42}) {
		t.Fatal(twice)
	}
}

func TestFlightSqlMetadata(t *testing.T) {
	client, ctx := connect(t)
	info, err := client.GetCatalogs(ctx)
	if found := texts(read(t, ctx, client, info, err), "catalog_name"); !slices.Contains(found, "shop") {
		t.Fatal(found)
	}
	catalog, pattern := "shop", "order%"
	info, err = client.GetTables(ctx, &flightsql.GetTablesOpts{Catalog: &catalog, TableNameFilterPattern: &pattern, IncludeSchema: true})
	if found := texts(read(t, ctx, client, info, err), "table_name"); !slices.Equal(found, []string{"order_items", "orders"}) {
		t.Fatal(found)
	}
	info, err = client.GetSqlInfo(ctx, []flightsql.SqlInfo{flightsql.SqlInfoFlightSqlServerTransaction})
	if batches := read(t, ctx, client, info, err); len(batches) != 1 || batches[0].NumRows() != 1 {
		t.Fatal(batches)
	}
	info, err = client.GetXdbcTypeInfo(ctx, nil)
	if batches := read(t, ctx, client, info, err); batches[0].NumRows() < 10 {
		t.Fatal(batches)
	}
}

func TestFlightSqlSessionOptions(t *testing.T) {
	client, ctx := connect(t)
	info, err := client.Execute(ctx, "USE shop")
	read(t, ctx, client, info, err)
	info, err = client.Execute(ctx, "SELECT current_catalog() AS c")
	if found := texts(read(t, ctx, client, info, err), "c"); !slices.Equal(found, []string{"shop"}) {
		t.Fatal(found)
	}
	if _, err := client.CloseSession(ctx, &flight.CloseSessionRequest{}); err != nil {
		t.Fatal(err)
	}
	info, err = client.Execute(ctx, "SELECT current_catalog() AS c")
	if found := texts(read(t, ctx, client, info, err), "c"); !slices.Equal(found, []string{"memory"}) {
		t.Fatal(found)
	}
}

func TestFlightSqlErrors(t *testing.T) {
	client, ctx := connect(t)
	_, err := client.Execute(ctx, "SELEC 1")
	if err == nil || !strings.Contains(err.Error(), "syntax error") {
		t.Fatal(err)
	}
	if _, err := client.BeginTransaction(ctx); err != nil {
		t.Fatal(err)
	}
}
