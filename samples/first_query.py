"""The first query of `./dev up`: revenue by country from the sample shop, printed as a table.

usage: TOKEN=<jwt> python3 first_query.py grpc://host:port
"""

import os
import sys

from pyarrow import flight

SQL = """
SELECT c.country, COUNT(DISTINCT o.id) AS orders, SUM(i.quantity * i.unit_price)::DECIMAL(12, 2) AS revenue
FROM shop.customers c
  JOIN shop.orders o ON o.customer_id = c.id
  JOIN shop.order_items i ON i.order_id = o.id
GROUP BY c.country
ORDER BY revenue DESC
LIMIT 5
"""


def main() -> None:
    client = flight.connect(sys.argv[1])
    options = flight.FlightCallOptions(
        timeout=90, headers=[(b"authorization", b"Bearer " + os.environ["TOKEN"].strip().encode())]
    )
    info = client.get_flight_info(flight.FlightDescriptor.for_command(SQL.encode()), options)
    table = client.do_get(info.endpoints[0].ticket, options).read_all()

    print(SQL.strip(), "\n")
    rows = [table.column_names] + [[str(value) for value in row.values()] for row in table.to_pylist()]
    widths = [max(len(row[column]) for row in rows) for column in range(table.num_columns)]
    for row in rows:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths)).rstrip())


main()
