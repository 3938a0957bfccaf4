"""The eight tables, as Arrow, the same for the same scale factor each time.

Schema, sizes, keys, value ranges and the correlations that the queries live on are those of the benchmark's specification
(version 3): lines belong to parts' own suppliers, prices follow part keys, states and flags follow dates. The texts come
from pools instead of its grammar, and one order in a thousand is large, so that also at small scales every query has rows.
Figures of published runs can't be compared with it; engines that read the same tables can."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SEED = 20_220_704
REGIONS = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
NATIONS = [("ALGERIA", 0), ("ARGENTINA", 1), ("BRAZIL", 1), ("CANADA", 1), ("EGYPT", 4), ("ETHIOPIA", 0), ("FRANCE", 3),
           ("GERMANY", 3), ("INDIA", 2), ("INDONESIA", 2), ("IRAN", 4), ("IRAQ", 4), ("JAPAN", 2), ("JORDAN", 4), ("KENYA", 0),
           ("MOROCCO", 0), ("MOZAMBIQUE", 0), ("PERU", 1), ("CHINA", 2), ("ROMANIA", 3), ("SAUDI ARABIA", 4), ("VIETNAM", 2),
           ("RUSSIA", 3), ("UNITED KINGDOM", 3), ("UNITED STATES", 1)]
COLORS = """almond antique aquamarine azure beige bisque black blanched blue blush brown burlywood burnished chartreuse
chiffon chocolate coral cornflower cornsilk cream cyan dark deep dim dodger drab firebrick floral forest frosted gainsboro
ghost goldenrod green grey honeydew hot indian ivory khaki lace lavender lawn lemon light lime linen magenta maroon medium
metallic midnight mint misty moccasin navajo navy olive orange orchid pale papaya peach peru pink plum powder puff purple red
rose rosy royal saddle salmon sandy seashell sienna sky slate smoke snow spring steel tan thistle tomato turquoise violet
wheat white yellow""".split()
TYPES = [f"{a} {b} {c}" for a in ("STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO")
         for b in ("ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED")
         for c in ("TIN", "NICKEL", "BRASS", "STEEL", "COPPER")]
CONTAINERS = [f"{a} {b}" for a in ("SM", "LG", "MED", "JUMBO", "WRAP")
              for b in ("CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM")]
SEGMENTS = ["AUTOMOBILE", "BUILDING", "FURNITURE", "MACHINERY", "HOUSEHOLD"]
PRIORITIES = ["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"]
INSTRUCTIONS = ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]
MODES = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"]
WORDS = """packages deposits accounts pinto beans theodolites foxes ideas instructions dependencies platelets asymptotes courts
dolphins sleep wake haggle nag cajole detect integrate furiously quickly slyly blithely carefully final regular express
ironic silent bold even unusual pending among across above according to the of after""".split()
EPOCH = np.datetime64("1970-01-01", "D")
FIRST_DAY = (np.datetime64("1992-01-01", "D") - EPOCH).astype(int)
LAST_ORDER = (np.datetime64("1998-08-02", "D") - EPOCH).astype(int)
TODAY = (np.datetime64("1995-06-17", "D") - EPOCH).astype(int)
MAX_LINES = 7


class Tpch:
    """One scale factor: 1 has six million lines."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.suppliers = max(100, round(10_000 * scale))
        self.parts = max(400, round(200_000 * scale))
        self.customers = max(150, round(150_000 * scale))
        self.orders = self.customers * 10
        self._orders_and_lines: tuple[pa.Table, pa.Table] | None = None

    @property
    def names(self) -> list[str]:
        return ["region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem"]

    def table(self, name: str) -> pa.Table:
        makers: dict[str, Callable[[], pa.Table]] = {
            "region": self._region, "nation": self._nation, "supplier": self._supplier, "part": self._part,
            "partsupp": self._partsupp, "customer": self._customer, "orders": lambda: self._both()[0],
            "lineitem": lambda: self._both()[1]}
        return makers[name]()

    def _region(self) -> pa.Table:
        return pa.table({"r_regionkey": pa.array(range(5), pa.int32()), "r_name": REGIONS,
                         "r_comment": _comments(_random("region"), 5, 20)})

    def _nation(self) -> pa.Table:
        return pa.table({"n_nationkey": pa.array(range(25), pa.int32()), "n_name": [name for name, _ in NATIONS],
                         "n_regionkey": pa.array([region for _, region in NATIONS], pa.int32()),
                         "n_comment": _comments(_random("nation"), 25, 20)})

    def _supplier(self) -> pa.Table:
        random, count = _random("supplier"), self.suppliers
        keys, nations = np.arange(1, count + 1), random.integers(0, 25, count)
        # Five in ten thousand complain, as many recommend; at small scales one of each.
        comments = _comments(random, count, 12).to_pylist()
        chosen = random.permutation(count)
        share = max(1, count // 2000)
        for place in chosen[:share]:
            comments[place] = "quick Customer deposits sleep Complaints"
        for place in chosen[share:2 * share]:
            comments[place] = "even Customer ideas wake Recommends"
        return pa.table({"s_suppkey": pa.array(keys, pa.int64()), "s_name": _numbered("Supplier#", keys),
                         "s_address": _comments(random, count, 4), "s_nationkey": pa.array(nations, pa.int32()),
                         "s_phone": _phones(random, nations), "s_acctbal": _cents(random.integers(-99_999, 1_000_000, count)),
                         "s_comment": comments})

    def _part(self) -> pa.Table:
        random, count = _random("part"), self.parts
        keys = np.arange(1, count + 1)
        maker, brand = random.integers(1, 6, count), random.integers(1, 6, count)
        colors = pa.array(COLORS)
        names = [colors.take(pa.array(random.integers(0, len(COLORS), count))) for _ in range(5)]
        return pa.table({
            "p_partkey": pa.array(keys, pa.int64()), "p_name": pc.binary_join_element_wise(*names, " "),
            "p_mfgr": pa.array([f"Manufacturer#{m}" for m in range(6)]).take(pa.array(maker)),
            "p_brand": pa.array([f"Brand#{n:02}" for n in range(56)]).take(pa.array(maker * 10 + brand)),
            "p_type": _of(random, TYPES, count), "p_size": pa.array(random.integers(1, 51, count), pa.int32()),
            "p_container": _of(random, CONTAINERS, count), "p_retailprice": _cents(_price_cents(keys)),
            "p_comment": _comments(random, count, 3)})

    def _partsupp(self) -> pa.Table:
        random, count = _random("partsupp"), self.parts * 4
        parts = np.repeat(np.arange(1, self.parts + 1), 4)
        return pa.table({
            "ps_partkey": pa.array(parts, pa.int64()),
            "ps_suppkey": pa.array(self._supplier_of(parts, np.tile(np.arange(4), self.parts)), pa.int64()),
            "ps_availqty": pa.array(random.integers(1, 10_000, count), pa.int32()),
            "ps_supplycost": _cents(random.integers(100, 100_001, count)), "ps_comment": _comments(random, count, 20)})

    def _customer(self) -> pa.Table:
        random, count = _random("customer"), self.customers
        keys, nations = np.arange(1, count + 1), random.integers(0, 25, count)
        return pa.table({"c_custkey": pa.array(keys, pa.int64()), "c_name": _numbered("Customer#", keys),
                         "c_address": _comments(random, count, 4), "c_nationkey": pa.array(nations, pa.int32()),
                         "c_phone": _phones(random, nations), "c_acctbal": _cents(random.integers(-99_999, 1_000_000, count)),
                         "c_mktsegment": _of(random, SEGMENTS, count), "c_comment": _comments(random, count, 12)})

    def _supplier_of(self, parts: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The `which`th (0 to 3) of the four suppliers of each part."""
        count = self.suppliers
        return (parts + which * (count // 4 + (parts - 1) // count)) % count + 1

    def _both(self) -> tuple[pa.Table, pa.Table]:
        if self._orders_and_lines is None:
            self._orders_and_lines = self._make_both()
        return self._orders_and_lines

    def _make_both(self) -> tuple[pa.Table, pa.Table]:
        random, count = _random("orders"), self.orders
        number = np.arange(count)
        order_keys = number // 8 * 32 + number % 8 + 1
        # A third of the customers never order.
        third = random.integers(0, self.customers // 3, count)
        customers = third * 3 + random.integers(1, 3, count)
        ordered = random.integers(FIRST_DAY, LAST_ORDER + 1, count)
        large = number % 1000 == 1
        lines = np.where(large, MAX_LINES, random.integers(1, MAX_LINES + 1, count))

        random = _random("lineitem")
        total = int(lines.sum())
        of_order = np.repeat(number, lines)
        starts = np.cumsum(lines) - lines
        line_number = np.arange(total) - starts[of_order] + 1
        parts = random.integers(1, self.parts + 1, total)
        quantity = np.where(large[of_order], random.integers(44, 51, total), random.integers(1, 51, total))
        price = quantity * _price_cents(parts)
        discount, tax = random.integers(0, 11, total), random.integers(0, 9, total)
        shipped = ordered[of_order] + random.integers(1, 122, total)
        committed = ordered[of_order] + random.integers(30, 91, total)
        received = shipped + random.integers(1, 31, total)
        returned = np.where(received <= TODAY, random.integers(0, 2, total), 2)
        is_open = shipped > TODAY
        lineitem = pa.table({
            "l_orderkey": pa.array(order_keys[of_order], pa.int64()), "l_partkey": pa.array(parts, pa.int64()),
            "l_suppkey": pa.array(self._supplier_of(parts, random.integers(0, 4, total)), pa.int64()),
            "l_linenumber": pa.array(line_number, pa.int32()), "l_quantity": _cents(quantity * 100),
            "l_extendedprice": _cents(price), "l_discount": _cents(discount), "l_tax": _cents(tax),
            "l_returnflag": pa.array(["R", "A", "N"]).take(pa.array(returned)),
            "l_linestatus": pa.array(["F", "O"]).take(pa.array(is_open.astype(int))),
            "l_shipdate": _dates(shipped), "l_commitdate": _dates(committed), "l_receiptdate": _dates(received),
            "l_shipinstruct": _of(random, INSTRUCTIONS, total), "l_shipmode": _of(random, MODES, total),
            "l_comment": _comments(random, total, 4)})
        paid = np.add.reduceat(price * (100 - discount) * (100 + tax) // 10_000, starts)
        still_open = np.add.reduceat(is_open.astype(int), starts)
        status = np.where(still_open == lines, 1, np.where(still_open == 0, 0, 2))
        random = _random("orders' texts")
        orders = pa.table({
            "o_orderkey": pa.array(order_keys, pa.int64()), "o_custkey": pa.array(customers, pa.int64()),
            "o_orderstatus": pa.array(["F", "O", "P"]).take(pa.array(status)), "o_totalprice": _cents(paid),
            "o_orderdate": _dates(ordered), "o_orderpriority": _of(random, PRIORITIES, count),
            "o_clerk": _numbered("Clerk#", random.integers(1, max(2, round(1000 * self.scale)) + 1, count)),
            "o_shippriority": pa.array(np.zeros(count), pa.int32()),
            "o_comment": _comments(random, count, 8, also="special packages wake requests")})
        return orders, lineitem


def _random(purpose: str) -> np.random.Generator:
    """Each table has numbers of its own, so that one can be made without the others."""
    return np.random.Generator(np.random.PCG64([SEED, *purpose.encode()]))


def _price_cents(parts: np.ndarray) -> np.ndarray:
    return 90_000 + parts // 10 % 20_001 + 100 * (parts % 1000)


def _cents(values: np.ndarray) -> pa.Array:
    """DECIMAL(15, 2) of integers that count hundredths."""
    words = np.empty((len(values), 2), np.int64)
    words[:, 0] = values
    words[:, 1] = values >> 63
    return pa.Array.from_buffers(pa.decimal128(15, 2), len(values), [None, pa.py_buffer(words)])


def _dates(days: np.ndarray) -> pa.Array:
    return pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32())


def _of(random: np.random.Generator, pool: list[str], count: int) -> pa.Array:
    return pa.array(pool).take(pa.array(random.integers(0, len(pool), count)))


def _numbered(prefix: str, keys: np.ndarray) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(keys).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def _phones(random: np.random.Generator, nations: np.ndarray) -> pa.Array:
    count = len(nations)
    parts = [nations + 10, random.integers(100, 1000, count), random.integers(100, 1000, count),
             random.integers(1000, 10_000, count)]
    return pc.binary_join_element_wise(*(pa.array(part).cast(pa.string()) for part in parts), "-")


def _comments(random: np.random.Generator, count: int, words: int, also: str | None = None) -> pa.Array:
    """Texts of about as many words; one in a hundred is `also`."""
    pool = [" ".join(WORDS[i] for i in random.integers(0, len(WORDS), words + n % 5)) for n in range(4000)]
    if also is not None:
        pool[:40] = [f"{also} {n}" for n in range(40)]
    return _of(random, pool, count)
