"""OpenStack Swift with its S3 interface: one process each of account, container, object and proxy server.

One more variable: HAWSER_STORAGE_TICKETS, since presigned requests hold there with the storage's own key.
"""

import getpass
import os
import secrets
import time

import install
from processes import Failed, free_ports, wait_for_port
from signing import Client, Refused

# Of several that put one key with If-None-Match at the same time, more than one can be told that it created it.
LACKS = ["atomic-conditional-put", "versioning", "object-lock", "sts"]
GATEWAYS = ["proxy"]
# setuptools: PasteDeploy asks for pkg_resources, which later ones don't have.
PACKAGES = ["swift==2.38.3", "setuptools<81"]
SERVERS = ["account", "container", "object"]

# swift-init and the like want /etc/swift and a syslog; this runs one server with a configuration from anywhere.
RUN = """import sys, eventlet
eventlet.hubs.use_hub("poll")
import swift.common.utils
swift.common.utils.SWIFT_CONF_FILE = sys.argv[3]
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[1], sys.argv[2]))
"""

# The places of objects: three rings, each with the one device of its server.
RINGS = """import sys
from swift.common.ring import RingBuilder
folder, ports = sys.argv[1], sys.argv[2:]
for server, port in zip(("account", "container", "object"), ports):
    ring = RingBuilder(4, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "one", "weight": 1})
    ring.rebalance()
    ring.get_ring().save("%s/%s.ring.gz" % (folder, server))
"""

SWIFT = """[swift-hash]
swift_hash_path_prefix = %(salt)s
swift_hash_path_suffix = %(salt)s
[storage-policy:0]
name = one
default = yes
"""

# Without workers each server is one process. Nothing listens on the port for syslog: logs go to standard error.
COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = %(port)d
workers = 0
user = %(user)s
swift_dir = %(folder)s
devices = %(folder)s/devices
mount_check = false
fallocate_reserve = 0
log_udp_host = 127.0.0.1
log_udp_port = 1
log_level = ERROR
"""

BACK = COMMON + """[pipeline:main]
pipeline = %(server)s-server
[app:%(server)s-server]
use = egg:swift#%(server)s
"""

PROXY = COMMON + """[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth copy slo dlo symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_hawser = %(secret)s .admin
""" + "".join("[filter:%s]\nuse = egg:swift#%s\n" % (name, name)
              for name in ("catch_errors", "gatekeeper", "listing_formats", "copy", "slo", "dlo", "symlink"))


def prepare(tools):
    return install.python_packages(os.path.join(tools, "swift"), PACKAGES)


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def start(processes, tools, fast):
    programs = prepare(tools)
    python, folder, secret = os.path.join(programs, "python"), processes.data, secrets.token_hex(20)
    os.makedirs(os.path.join(folder, "devices", "one"))
    write(folder, "swift.conf", SWIFT % {"salt": secrets.token_hex(8)})
    write(folder, "run.py", RUN)
    ports = dict(zip(SERVERS + ["proxy"], free_ports(len(SERVERS) + 1)))
    for server in ports:
        values = {"port": ports[server], "folder": folder, "server": server, "secret": secret, "user": getpass.getuser()}
        write(folder, server + ".conf", (PROXY if server == "proxy" else BACK) % values)
    processes.run("rings", [python, "-W", "ignore", "-c", RINGS, folder] + [str(ports[each]) for each in SERVERS])
    for server in ports:
        command = [python, "-W", "ignore", os.path.join(folder, "run.py"), os.path.join(folder, server + ".conf"), server + "-server"]
        # It writes below the home folder.
        processes.spawn(server, command + [os.path.join(folder, "swift.conf")], {"HOME": folder})
    for server, port in ports.items():
        wait_for_port(port, lambda: processes.alive(server))
    endpoint = "http://127.0.0.1:%d" % ports["proxy"]
    make_bucket(Client(endpoint, "test:hawser", secret))
    return {"HAWSER_STORAGE_ENDPOINT": endpoint, "HAWSER_STORAGE_TICKETS": "own key",
            "AWS_ACCESS_KEY_ID": "test:hawser", "AWS_SECRET_ACCESS_KEY": secret}


def make_bucket(client):
    """The first request makes the account, which the servers may not all know at once."""
    for _ in range(30):
        try:
            client.call("PUT", "/backup")
            return
        except Refused as refused:
            last = refused
            time.sleep(0.2)
    raise Failed(str(last))
