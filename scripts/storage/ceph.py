"""Ceph's RADOS gateway, with one monitor and one OSD that keeps its data in memory.

Accounts and what they are for, beside the owner of the bucket `backup`:
    machine, keeper   exactly the policy of docs/storages/ceph-rgw.md, as it stands there
    small             owns the bucket `small` and may store 24 MiB
    backup            a role that the owner may assume, with all rights in the bucket `backup`

The owner's bucket `locked` has object locks.

More variables: HAWSER_STORAGE_ROLE (its ARN), _PRINCIPAL (the owner's ARN), HAWSER_STORAGE_MACHINE, _KEEPER and _SMALL
(key:secret of the users), HAWSER_STORAGE_LOCKED (the bucket's name).
"""

import json
import os
import re
import secrets
import subprocess
import time
import uuid

import install
from processes import Failed, free_ports, wait_for_port
from signing import Client, Refused

# The bucket is a plain one; Ceph can do both.
LACKS = ["versioning", "object-lock"]
GATEWAYS = ["radosgw"]
PROGRAMS = {"radosgw": "radosgw", "radosgw-admin": "radosgw", "ceph-mon": "ceph-mon", "ceph-osd": "ceph-osd",
            "ceph": "ceph-common", "monmaptool": "ceph-common"}

CONFIGURATION = """[global]
fsid = %(fsid)s
mon host = v2:127.0.0.1:%(monitor)d
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
keyring = %(folder)s/keyring
run dir = %(folder)s
crash dir = %(folder)s
admin socket =
log file =
log to stderr = true
err to stderr = true
mon cluster log file = /dev/null
debug rocksdb = 0

# Everything is on loopback and thrown away: no keys. Without keys messages can't be in the default "secure" mode, and
# radosgw would wait five minutes for one that is.
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
ms client mode = crc
ms service mode = crc
ms cluster mode = crc
ms crc data = false

# One copy on one disk, in few placement groups, and no warnings about that.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000

[mon]
mon data = %(folder)s/mon
paxos propose interval = 0.05

[osd]
osd data = %(folder)s/osd
osd objectstore = memstore
# The limit of what can be stored; memory is taken as it fills.
memstore device bytes = %(bytes)d

[client.rgw]
# Without tcp_nodelay each small answer waits 40 ms for the client's acknowledgement.
rgw frontends = beast endpoint=127.0.0.1:%(gateway)d tcp_nodelay=1
rgw s3 auth use sts = true
rgw sts key = %(sts)s
# Quotas hold after a second rather than after minutes.
rgw bucket quota ttl = 1
rgw user quota bucket sync interval = 1
rgw user quota sync interval = 1
# What was deleted leaves the memory at once.
rgw gc obj min wait = 1
rgw gc processor period = 2
rgw gc processor max time = 2
"""

# Debian's Ceph has no tcmalloc, and memory that glibc gives back costs twice the time of a large PUT to have again.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"}

STORED_BYTES = 12 << 30
SMALL_QUOTA_KIB = 24 << 10
PAGE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "docs", "storages", "ceph-rgw.md")


def prepare(tools):
    install.programs(PROGRAMS)


def start(processes, tools, fast):
    prepare(tools)
    folder = processes.data
    [monitor, gateway] = free_ports(2)
    file = os.path.join(folder, "ceph.conf")
    values = {"fsid": uuid.uuid4(), "folder": folder, "monitor": monitor, "gateway": gateway, "bytes": STORED_BYTES,
              "sts": secrets.token_hex(8)}
    with open(file, "w", encoding="utf-8") as output:
        output.write(CONFIGURATION % values)
    for name in ("keyring", "mon/", "osd/"):
        os.makedirs(os.path.join(folder, name)) if name.endswith("/") else open(os.path.join(folder, name), "w").close()
    base = ["--conf", file]

    map_file = os.path.join(folder, "monmap")
    processes.run("mon", ["monmaptool", "--create", "--fsid", str(values["fsid"]), "--addv", "a",
                          "[v2:127.0.0.1:%d]" % monitor, map_file])
    processes.run("mon", ["ceph-mon", *base, "--mkfs", "-i", "a", "--monmap", map_file])
    processes.spawn("mon", ["ceph-mon", *base, "-f", "-i", "a"], ENVIRONMENT)
    identity = str(uuid.uuid4())
    processes.run("osd", ["ceph", *base, "osd", "new", identity, "0"])
    processes.run("osd", ["ceph-osd", *base, "-i", "0", "--mkfs", "--osd-uuid", identity])
    processes.spawn("osd", ["ceph-osd", *base, "-f", "-i", "0"], ENVIRONMENT)
    # It waits by itself for the OSD, which the pools that it makes need.
    processes.spawn("radosgw", ["radosgw", *base, "-f", "-n", "client.rgw"], ENVIRONMENT)
    wait_for_port(gateway, lambda: all(map(processes.alive, processes.entries)))

    endpoint = "http://127.0.0.1:%d" % gateway
    owner = user_keys()
    processes.run("users", ["radosgw-admin", *base, "-n", "client.rgw", "user", "create", "--uid=owner",
                            "--display-name=owner", "--access-key=" + owner[0], "--secret-key=" + owner[1],
                            "--caps=users=*;buckets=*;roles=*"])
    client = Client(endpoint, *owner)
    variables = {"HAWSER_STORAGE_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": owner[0], "AWS_SECRET_ACCESS_KEY": owner[1]}
    client.call("PUT", "/backup")
    client.call("PUT", "/locked", extra={"x-amz-bucket-object-lock-enabled": "true"})
    variables["HAWSER_STORAGE_LOCKED"] = "locked"
    variables["HAWSER_STORAGE_ROLE"] = make_role(client)
    variables["HAWSER_STORAGE_PRINCIPAL"] = "arn:aws:iam:::user/owner"
    for name in ("machine", "keeper", "small"):
        variables["HAWSER_STORAGE_" + name.upper()] = ":".join(make_user(client, name))
    client.call("PUT", "/backup", {"policy": ""}, documented_policy())
    client.call("PUT", "/admin/user", {"quota": "", "uid": "small", "quota-type": "user", "enabled": "true",
                                       "max-size-kb": str(SMALL_QUOTA_KIB)})
    Client(endpoint, *variables["HAWSER_STORAGE_SMALL"].split(":")).call("PUT", "/small")
    return variables


def user_keys():
    return secrets.token_hex(10).upper(), secrets.token_hex(20)


def make_user(client, name):
    key, secret = user_keys()
    client.call("PUT", "/admin/user", {"uid": name, "display-name": name, "access-key": key, "secret-key": secret})
    return key, secret


def make_role(client):
    trust = statement(Principal={"AWS": ["arn:aws:iam:::user/owner"]}, Action=["sts:AssumeRole"])
    rights = statement(Action=["s3:*"], Resource=["arn:aws:s3:::backup", "arn:aws:s3:::backup/*"])
    answer = client.act("iam", "CreateRole", RoleName="backup", Path="/", AssumeRolePolicyDocument=trust)
    client.act("iam", "PutRolePolicy", RoleName="backup", PolicyName="bucket", PolicyDocument=rights)
    return re.search(r"<Arn>([^<]+)</Arn>", answer.decode()).group(1)


def statement(**parts):
    return json.dumps({"Version": "2012-10-17", "Statement": [dict(parts, Effect="Allow")]})


def documented_policy():
    """The page's first JSON block, so that what the page says is what is tested."""
    with open(PAGE, encoding="utf-8") as file:
        block = re.search(r"```json\n(.*?)```", file.read(), re.DOTALL)
    if not block:
        raise Failed("%s has no policy" % PAGE)
    return block.group(1).encode()
