"""The proxy's image by itself: no Docker socket, no other image. Workers are sandboxed processes beside the proxy, in a
container that was started without any rights of its own."""

import json
import re

from tests.support.databases import PASSWORD
from tests.support.engine import SOCKET, CommandFailed, docker
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.tokens import SECRET
from tests.support.waiting import eventually

ENVIRONMENT = 3
# The status of each process of a name, after its number; of one that ends meanwhile, nothing.
STATUS_OF = """
for folder in /proc/[0-9]*; do
  if [ "$(cat $folder/comm 2>/dev/null)" = NAME ] && status=$(cat $folder/status 2>/dev/null); then
    echo "== ${folder#/proc/}"; echo "$status"
  fi
done"""


def processes_named(proxy: Proxy, name: str) -> dict[int, dict[str, str]]:
    """What the kernel says of each process that it knows by this name, by process id."""
    text = docker("exec", proxy.container, "sh", "-c", STATUS_OF.replace("NAME", name))
    processes = {}
    for block in text.split("== ")[1:]:
        number, *lines = block.splitlines()
        processes[int(number)] = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return processes


def worker_processes(proxy: Proxy) -> dict[int, dict[str, str]]:
    return processes_named(proxy, "pondpilot-worke")


def zygotes(proxy: Proxy) -> dict[int, dict[str, str]]:
    return processes_named(proxy, "pondpilot-zygot")


def as_user(proxy: Proxy, user: int, script: str) -> str:
    """Runs a shell under a worker's user id and nothing else of its jail; the output, or why it was refused."""
    try:
        return docker("exec", proxy.container, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                      "--bounding-set=-all", "--no-new-privs", "sh", "-c", script)
    except CommandFailed as refused:
        return str(refused)


def test_a_secret_is_all_that_it_needs(engine, network):
    proxy = Proxy(engine, ProxyOptions(network, socket=False))
    try:
        proxy.wait_ready()
        assert proxy.user("first").value("SELECT 42") == 42
        assert proxy.log_lines("Worker processes ready")
        assert proxy.stop() == 0
    finally:
        proxy.remove()


def test_databases_are_joined(alone: Proxy):
    sql = """SELECT count(*) FROM pg.public.orders o JOIN my.customers c ON c.id = o.customer_id
             JOIN tg.targets t ON t.country = c.country JOIN sl.small s ON s.a = 1"""
    assert alone.user("joins").value(sql) == 1000


def test_a_query_spills_to_disk(alone: Proxy):
    assert alone.user("spills").value(
        "SELECT count(*) FROM (SELECT i, md5(i::VARCHAR) m FROM range(6000000) t(i) ORDER BY m)") == 6000000


def test_every_worker_has_a_user_id_and_no_right_of_its_own(alone: Proxy):
    for user in ("alice", "bob"):
        alone.user(user).value("SELECT 1")
    workers = worker_processes(alone)
    assert len(workers) >= 2
    users = [status["Uid"].split()[0] for status in workers.values()]
    assert len(set(users)) == len(users) and "0" not in users and "1000" not in users
    for status in workers.values():
        assert len(set(status["Uid"].split() + status["Gid"].split())) == 1
        assert status["Groups"].split() == []
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[capabilities], 16) == 0, capabilities
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2" and int(status["Seccomp_filters"]) >= 3


def test_the_proxy_itself_has_no_right_either(alone: Proxy):
    status = docker("exec", alone.container, "cat", "/proc/1/status")
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert values["Name"] == "pondpilot-proxy" and values["Uid"].split() == ["1000"] * 4
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(values[capabilities], 16) == 0, capabilities


def test_a_workers_user_id_alone_opens_nothing_of_others(alone: Proxy):
    """The second wall behind Landlock, in the real image: what ordinary permissions say."""
    for user in ("carol", "dave"):
        alone.user(user).value("SELECT 1")
    workers = worker_processes(alone)
    (own, status), (other, _), *_ = workers.items()
    user = int(status["Uid"].split()[0])
    folders = {owner: folder for owner, folder in (line.split() for line in docker(
        "exec", alone.container, "sh", "-c", "stat -c '%u %n' /var/lib/pondpilot/spill/*").splitlines())}
    others = next(folder for owner, folder in folders.items() if owner != str(user))
    assert as_user(alone, user, f"ls {folders[str(user)]}") == "", "its own is there"
    for script in ("cat /proc/1/environ", "ls -l /proc/1/fd/", "cat /proc/1/mem", f"cat /proc/{other}/environ",
                   f"ls -l /proc/{other}/fd/", f"kill -0 {other}", "kill -0 1", "ls /run/pondpilot",
                   "ls /var/lib/pondpilot/spill", f"ls {others}", f"touch {others}/x", "touch /run/pondpilot/x",
                   "touch /var/lib/pondpilot/spill/x", "touch /usr/bin/x"):
        assert "ermission denied" in as_user(alone, user, script) or "not permitted" in as_user(alone, user, script), script
    assert own in worker_processes(alone)


def test_no_secret_is_in_a_workers_environment_or_the_jailers(alone: Proxy):
    alone.user("erin").value("SELECT count(*) FROM pg.public.users")
    for number, status in worker_processes(alone).items():
        user = status["Uid"].split()[0]
        environment = docker("exec", "-u", f"{user}:{user}", alone.container, "cat", f"/proc/{number}/environ")
        assert "LANG=C.UTF-8" in environment
        assert SECRET not in environment and PASSWORD not in environment and "JWT_SECRET" not in environment
    jailers = docker("exec", alone.container, "sh", "-c",
                     "for f in /proc/[0-9]*; do if [ $(cat $f/comm) = pondpilot-jaile ]; then cat $f/environ; fi; done 2>/dev/null || true")
    assert "PONDPILOT_JAILER_FD=" in jailers and "JWT_SECRET" not in jailers
    said = alone.logs() + json.dumps(alone.get("/health/detailed").json())
    assert SECRET not in said and PASSWORD not in said


def title(proxy: Proxy, number: int) -> str:
    return docker("exec", proxy.container, "sh", "-c", f"tr '\\0' ' ' < /proc/{number}/cmdline || true").strip()


def test_workers_come_from_a_zygote_and_show_their_names(alone: Proxy):
    alone.user("gina").value("SELECT 1")
    (zygote,) = zygotes(alone).values()
    assert zygote["Threads"] == "1"
    jailer = zygote["PPid"]
    workers = worker_processes(alone)
    assert workers
    assert all(status["PPid"] == jailer for status in workers.values()), "their ends are told to the jailer"
    ids = docker("exec", alone.container, "ls", "/var/lib/pondpilot/spill").split()
    titles = [shown for number in workers if (shown := title(alone, number))]
    assert titles and all(shown.removeprefix("pondpilot-worker ") in ids for shown in titles)
    (ready,) = alone.log_lines("Worker processes ready")
    assert ready["zygote"] == "ready"


def test_workers_of_one_zygote_have_nothing_in_common(alone: Proxy):
    sql = "SELECT concat_ws(' ', random(), gen_random_uuid(), uuid())"
    seen = {word for user in ("hans", "ines", "jan") for word in alone.user(user).value(sql).split()}
    assert len(seen) == 9
    sockets = []
    for number, status in worker_processes(alone).items():
        user = status["Uid"].split()[0]
        links = docker("exec", "-u", f"{user}:{user}", alone.container, "sh", "-c", f"readlink /proc/{number}/fd/* || true")
        sockets.append(set(re.findall(r"socket:\[\d+\]", links)))
    sockets = [of for of in sockets if of]  # of one that has ended meanwhile there are none
    assert len(sockets) >= 3
    for one, of in enumerate(sockets):
        assert all(not of & other for other in sockets[one + 1:])


def test_a_zygote_that_is_killed_is_replaced(engine, network):
    proxy = Proxy(engine, ProxyOptions(network, base_config(engine, network), socket=False, memory="1g"))
    try:
        proxy.wait_ready()
        (killed,) = zygotes(proxy)
        docker("exec", proxy.container, "sh", "-c", f"kill -9 {killed}")
        assert proxy.user("first").value("SELECT 42") == 42, "at once, by running the worker's program if need be"
        eventually(lambda: set(zygotes(proxy)) - {killed}, "there is another", 30)
        eventually(lambda: proxy.log_lines("Worker processes are forked by a zygote again"), "it is said", 30)
        assert proxy.user("second").value("SELECT 42") == 42
        newest = max(worker_processes(proxy))
        assert title(proxy, newest).startswith("pondpilot-worker ")
        (lost,) = proxy.log_lines("The zygote that forks worker processes is gone")
        assert lost["level"] == "warn" and "signal 9" in lost["reason"]
        assert not proxy.log_lines("There is no zygote that forks worker processes")
    finally:
        proxy.remove()


def test_a_zygote_that_can_not_start_is_warned_of(engine, network):
    folder = engine.new_folder("zygote")
    (folder / "pondpilot-worker").write_text("#!/bin/sh\nexit 9\n")
    (folder / "pondpilot-worker").chmod(0o755)
    proxy = Proxy(engine, ProxyOptions(network, base_config(engine, network), socket=False, memory="1g", options=(
        "-v", f"{folder}/pondpilot-worker:/usr/bin/pondpilot-worker:ro")))
    try:
        eventually(lambda: proxy.log_lines("Worker processes ready"), "the proxy has started", 30)
        (warned,) = eventually(lambda: proxy.log_lines("There is no zygote that forks worker processes"), "it is said", 10)
        assert warned["level"] == "warn" and "it has ended (exit code 9)" in warned["reason"]
    finally:
        proxy.remove()


def test_without_a_zygote_each_worker_runs_its_program(engine, network):
    proxy = Proxy(engine, ProxyOptions(network, base_config(engine, network, zygote=False), socket=False, memory="1g"))
    try:
        proxy.wait_ready()
        assert proxy.user("alone").value("SELECT 42") == 42
        assert zygotes(proxy) == {}
        for number, status in worker_processes(proxy).items():
            user = status["Uid"].split()[0]
            assert "PONDPILOT_WORKER_ID=" in docker("exec", "-u", f"{user}:{user}", proxy.container, "cat", f"/proc/{number}/environ")
    finally:
        proxy.remove()


def test_what_is_denied_is_said_once_and_loudly(alone: Proxy):
    lines = alone.log_lines("This system denies workers a part of their isolation")
    assert len(lines) == 1 and lines[0]["level"] == "warn"
    for layer in ("namespaces", "mounts", "cgroup"):
        assert layer in lines[0]["denied"]
    (ready,) = alone.log_lines("Worker processes ready")
    assert ready["layers"].split(",") == ["user", "limits", "landlock", "seccomp", "privileges"]
    components = alone.get("/health/detailed").json()["components"]
    assert components["launcher.process"]["status"] == "ok"
    assert components["isolation"]["status"] == "partial" and "mounts" in components["isolation"]["reason"]


def test_a_layer_that_is_required_and_denied_stops_the_start(engine, network):
    proxy = Proxy(engine, ProxyOptions(network, socket=False, environment={"CONTAINER_REQUIRE": "user,mounts"}))
    try:
        assert proxy.wait_exit(60) == ENVIRONMENT
        assert "CONTAINER_REQUIRE" in proxy.logs() and "mounts" in proxy.logs()
    finally:
        proxy.remove()


def test_layers_that_are_there_may_be_required(engine, network):
    required = {"CONTAINER_REQUIRE": "user,limits,landlock,seccomp,privileges", "CONTAINER_BACKEND": "process"}
    proxy = Proxy(engine, ProxyOptions(network, socket=False, environment=required))
    try:
        proxy.wait_ready()
        assert proxy.user("strict").value("SELECT 42") == 42
    finally:
        proxy.remove()


def test_docker_that_was_asked_for_is_not_replaced(engine, network):
    proxy = Proxy(engine, ProxyOptions(network, socket=False, environment={"CONTAINER_BACKEND": "docker"}))
    try:
        assert proxy.wait_exit(60) == ENVIRONMENT
        assert SOCKET in proxy.logs() and "CONTAINER_BACKEND=process" in proxy.logs()
    finally:
        proxy.remove()


def test_a_worker_that_is_killed_is_replaced(alone: Proxy):
    user = alone.user("frank")
    user.value("CREATE TABLE t AS SELECT 1")
    before = worker_processes(alone)
    newest = max(before)
    docker("exec", alone.container, "sh", "-c", f"kill -9 {newest}")
    eventually(lambda: newest not in worker_processes(alone), "the process is gone")
    assert alone.user("frank").value("SELECT 42") == 42, "a fresh worker answers"


def test_idle_workers_leave_nothing_behind(engine, network):
    proxy = Proxy(engine, ProxyOptions(network, base_config(engine, network, idle_timeout="2s"), socket=False))
    try:
        proxy.wait_ready()
        proxy.user("passing").value("SELECT 42")
        assert worker_processes(proxy)
        eventually(lambda: not worker_processes(proxy), "the idle worker ends", 30)
        left = docker("exec", proxy.container, "sh", "-c", "ls /var/lib/pondpilot/spill; ls /run/pondpilot/*")
        assert left == ""
    finally:
        proxy.remove()


def test_without_root_workers_are_jailed_as_far_as_it_goes(engine, network):
    proxy = Proxy(engine, ProxyOptions(network, socket=False, options=("--user", "1000:1000")))
    try:
        proxy.wait_ready()
        assert proxy.user("plain").value("SELECT 42") == 42
        (denied,) = proxy.log_lines("This system denies workers a part of their isolation")
        assert "user" in denied["denied"] and "landlock" not in denied["denied"]
    finally:
        proxy.remove()


def test_with_more_rights_every_layer_is_on(engine, network):
    rights = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "-v", "/sys/fs/cgroup:/sys/fs/cgroup")
    required = {"CONTAINER_REQUIRE": "user,namespaces,mounts,cgroup,limits,landlock,seccomp,privileges"}
    proxy = Proxy(engine, ProxyOptions(network, socket=False, environment=required, options=rights))
    try:
        proxy.wait_ready()
        assert proxy.user("all").value("SELECT 42") == 42
        assert not proxy.log_lines("This system denies workers a part of their isolation")
        assert "isolation" not in proxy.get("/health/detailed").json()["components"]
    finally:
        proxy.remove()


def test_without_root_a_user_namespace_gives_a_root_of_its_own(engine, network):
    rights = ("--user", "1000:1000", "--security-opt", "seccomp=unconfined")
    required = {"CONTAINER_REQUIRE": "namespaces,mounts,limits,landlock,seccomp,privileges"}
    proxy = Proxy(engine, ProxyOptions(network, socket=False, environment=required, options=rights))
    try:
        proxy.wait_ready()
        assert proxy.user("mapped").value("SELECT 42") == 42
    finally:
        proxy.remove()


def test_the_end_of_the_jailer_ends_the_proxy(engine, own_network):
    """Who starts the proxy anew, as a restart policy does, gets one that can start workers again."""
    proxy = Proxy(engine, ProxyOptions(own_network, base_config(engine, own_network), socket=False)).wait_ready()
    try:
        rows = 3_000_000  # more than fits between the worker and a client that has not read yet
        chunks = iter(proxy.user("hugo").stream(f"SELECT range AS a FROM range({rows})"))
        read = next(chunks).data.num_rows
        (jailer,) = processes_named(proxy, "pondpilot-jaile")
        docker("exec", "-u", "0", proxy.container, "sh", "-c", f"kill -9 {jailer}")
        eventually(lambda: proxy.log_lines("The jailer, which starts workers for the proxy, has ended"), "the proxy knows", 10)
        read += sum(chunk.data.num_rows for chunk in chunks)
        assert read == rows, "a call that is open goes on"
        assert proxy.wait_exit() == ENVIRONMENT
        assert "reason=killed" not in proxy.logs(), "no worker has died"
        (said,) = proxy.log_lines("The jailer, which starts workers for the proxy, has ended")
        assert said["level"] == "error"
        proxy.start()
        assert proxy.user("hugo").value("SELECT 42") == 42
    finally:
        proxy.remove()
