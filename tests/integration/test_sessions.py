"""A session follows its client: by the cookie when the client keeps cookies, else by its connection."""

import pytest
from pyarrow import flight

from tests.support.flight import FlightUser
from tests.support.forwarder import Forwarder
from tests.support.proxy import Proxy, base_config
from tests.support.waiting import eventually

NAME = "pondpilot_session"


class CookieJar(flight.ClientMiddlewareFactory):
    """What a client's cookie middleware does, as far as one cookie goes."""

    def __init__(self, cookie: str | None = None) -> None:
        super().__init__()
        self.cookie = cookie
        self.given: list[str] = []

    def start_call(self, info) -> flight.ClientMiddleware:
        return _Cookies(self)


class _Cookies(flight.ClientMiddleware):
    def __init__(self, jar: CookieJar) -> None:
        super().__init__()
        self.jar = jar

    def sending_headers(self) -> dict:
        return {"cookie": self.jar.cookie} if self.jar.cookie else {}

    def received_headers(self, headers: dict) -> None:
        for text in headers.get("set-cookie", []):
            self.jar.given.append(text)
            gone = "max-age=0" in text.lower()
            self.jar.cookie = None if gone else text.split(";")[0]


def with_jar(proxy: Proxy, sub: str, jar: CookieJar) -> FlightUser:
    # A connection of its own: gRPC shares those of equal options.
    return proxy.user(sub, middleware=[jar], generic_options=[("grpc.use_local_subchannel_pool", 1)])


def test_the_cookie_brings_a_client_back_to_its_session(product, sub):
    jar = CookieJar()
    with with_jar(product, sub, jar) as user:
        user.query("CREATE TEMP TABLE mine AS SELECT 7 AS a")
        user.query("SET TimeZone = 'Asia/Tokyo'")
        assert jar.cookie.startswith(f"{NAME}=")
        assert len(jar.given) == 1, "it is given once"
        assert sub not in jar.cookie
    with with_jar(product, sub, jar) as user:
        assert user.value("SELECT a FROM mine") == 7
        assert user.value("SELECT current_setting('TimeZone')") == "Asia/Tokyo"
        user.query("BEGIN")
        user.query("CREATE TABLE kept AS SELECT 1 AS a")
    with with_jar(product, sub, jar) as user:
        user.query("ROLLBACK")
        assert "kept" in str(user.refusal("SELECT * FROM kept"))
    with with_jar(product, sub, CookieJar()) as user:
        assert "mine" in str(user.refusal("SELECT a FROM mine")), "without the cookie it is another session"


def test_a_client_without_cookies_keeps_its_connections_session(product, sub):
    with product.user(sub, generic_options=[("grpc.use_local_subchannel_pool", 1)]) as user:
        user.query("CREATE TEMP TABLE mine AS SELECT 7 AS a")
        assert user.value("SELECT a FROM mine") == 7


def test_a_cookie_is_worth_nothing_to_another_user(product, sub):
    jar = CookieJar()
    with with_jar(product, sub, jar) as user:
        user.query("CREATE TEMP TABLE mine AS SELECT 7 AS a")
    stolen = CookieJar(jar.cookie)
    with with_jar(product, f"{sub}-thief", stolen) as thief:
        assert "mine" in str(thief.refusal("SELECT a FROM mine"))
        assert stolen.cookie != jar.cookie, "the thief is given one of their own"
    forged = CookieJar(f"{NAME}={'0' * 32}.{'0' * 32}")
    with with_jar(product, sub, forged) as user:
        assert user.value("SELECT 42") == 42
        assert forged.cookie.startswith(f"{NAME}=") and "0" * 32 not in forged.cookie


def test_close_session_takes_the_cookie_back(product, sub):
    jar = CookieJar()
    with with_jar(product, sub, jar) as user:
        user.query("CREATE TEMP TABLE mine AS SELECT 7 AS a")
        first = jar.cookie
        list(user.client.do_action(flight.Action("CloseSession", b""), user.options))
        assert jar.cookie is None and "Max-Age=0" in jar.given[-1]
        assert "mine" in str(user.refusal("SELECT a FROM mine"))
    with with_jar(product, sub, CookieJar(first)) as user:
        assert "mine" in str(user.refusal("SELECT a FROM mine")), "the old cookie names a session that is new"


def test_a_session_outlives_the_proxy(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, session_timeout="5m"),
                        environment={"PONDPILOT_INSTANCE": engine.name("sessions")})
    jar = CookieJar()
    with with_jar(proxy, sub, jar) as user:
        user.query("CREATE TEMP TABLE mine AS SELECT 7 AS a")
    proxy.kill()
    proxy.start()
    with with_jar(proxy, sub, jar) as user:
        assert user.value("SELECT a FROM mine") == 7


def rows(connection, sql: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.mark.parametrize("keeps", [True, False], ids=["with cookies", "without"])
def test_adbc_over_a_connection_that_is_cut(product, sub, keeps):
    dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
    options = {"adbc.flight.sql.authorization_header": f"Bearer {product.token(sub)}"}
    if keeps:
        options["adbc.flight.sql.rpc.with_cookie_middleware"] = "true"
    with Forwarder.to_port(product.port(8081)) as path:
        with dbapi.connect(f"grpc+tcp://127.0.0.1:{path.port}", db_kwargs=options, autocommit=True) as connection:
            rows(connection, "CREATE TEMP TABLE mine AS SELECT 7 AS a")
            before = path.connections
            path.cut()

            def connected() -> bool:
                try:
                    return rows(connection, "SELECT 42") == [(42,)]
                except dbapi.Error:
                    return False

            eventually(connected, "the driver connects again", 30)
            assert path.connections > before
            if keeps:
                assert rows(connection, "SELECT a FROM mine") == [(7,)]
            else:
                with pytest.raises(dbapi.Error, match="mine"):
                    rows(connection, "SELECT a FROM mine")
