#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemd-id, which tells udev what is pmemd's: on sysfs trees as the kernel makes them, and on labels that lie."""

import os
import subprocess
import tempfile

EXE = os.environ["PMEMD_ID_EXE"]
UUID = "8f3b4aaa-d753-4620-af9c-9ce11d96d7b2"
OTHER_UUID = "0c110a52-4e66-4afd-b1a0-c1eeea8f3c58"
DATA = "pmemd:data:0c110a52:8f3b4aaa"


def put(folder, **attributes):
    os.makedirs(folder, exist_ok=True)
    for name, text in attributes.items():
        with open(f"{folder}/{name}", "w", encoding="latin-1") as file:
            file.write(text)


def ask(*words):
    result = subprocess.run([EXE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def region(root, alt_name=DATA + "\n", uuid=UUID + "\n", holder="namespace0.1\n", info=""):
    """A region with a foreign namespace, and one that a device-dax and a raw block device lie on."""
    put(f"{root}/ndbus0/region0/namespace0.0", alt_name="theirs\n", uuid=OTHER_UUID + "\n")
    put(f"{root}/ndbus0/region0/namespace0.1", alt_name=alt_name, uuid=uuid)
    put(f"{root}/ndbus0/region0/dax0.1", namespace=holder, uuid=info)
    put(f"{root}/ndbus0/region0/pfn0.1", namespace=holder, uuid=info)
    put(f"{root}/ndbus0/region0/pfn0.1/block/pmem1")
    put(f"{root}/ndbus0/region0/dax0.1/dax0.1")
    put(f"{root}/ndbus0/region0/namespace0.1/block/pmem0/pmem0p1")
    return f"{root}/ndbus0/region0"


def main():
    good = (0, f"PMEMD_ROLE=data\nPMEMD_UUID={UUID}\n")
    none = (1, "")
    bare = (0, f"PMEMD_ROLE=unlabelled\nPMEMD_UUID={OTHER_UUID}\n")
    rows = [
        ("device-dax", {}, "dax0.1/dax0.1", good),
        ("raw block device", {}, "namespace0.1/block/pmem0", good),
        ("partition", {}, "namespace0.1/block/pmem0/pmem0p1", good),
        ("role mgmt", {"alt_name": "pmemd:mgmt:0c110a52:8f3b4aaa\n"}, "dax0.1/dax0.1", (0, good[1].replace("data", "mgmt"))),
        ("filler", {"alt_name": "pmemd:filler:0c110a52:8f3b4aaa\n"}, "dax0.1", (0, good[1].replace("data", "filler"))),
        ("foreign namespace", {"holder": "namespace0.0\n"}, "dax0.1/dax0.1", none),
        ("no namespace", {"holder": "\n"}, "dax0.1/dax0.1", none),
        ("namespace elsewhere", {"holder": "../region0/namespace0.1\n"}, "dax0.1/dax0.1", none),
        ("no such device", {}, "dax0.7/dax0.7", none),
        ("no label", {"alt_name": "\n"}, "dax0.1/dax0.1", none),
        ("unknown role", {"alt_name": "pmemd:boot:0c110a52:8f3b4aaa\n"}, "dax0.1/dax0.1", none),
        ("short number", {"alt_name": "pmemd:data:0c110a5:8f3b4aaaa\n"}, "dax0.1/dax0.1", none),
        ("more behind it", {"alt_name": DATA + "x\n"}, "dax0.1/dax0.1", none),
        ("too long", {"alt_name": DATA + "a" * 300 + "\n"}, "dax0.1/dax0.1", none),
        ("no uuid", {"uuid": "\n"}, "dax0.1/dax0.1", none),
        ("uuid that leaves the folder", {"uuid": "../../../../../../../../etc/shadow000\n"}, "dax0.1/dax0.1", none),
        ("uuid with a space", {"uuid": UUID[:-1] + " \n"}, "dax0.1/dax0.1", none),
        ("no labels", {"alt_name": "", "uuid": "", "info": OTHER_UUID + "\n"}, "dax0.1/dax0.1", bare),
        ("no labels, no device-dax", {"alt_name": "", "uuid": "", "info": OTHER_UUID + "\n"}, "pfn0.1/block/pmem1", none),
        ("no labels, a bad uuid", {"alt_name": "", "uuid": "", "info": "../" * 12 + "\n"}, "dax0.1/dax0.1", none),
        ("no labels, no uuid", {"alt_name": "", "uuid": "", "info": "\n"}, "dax0.1/dax0.1", none),
        ("foreign label, whatever the info block says", {"alt_name": "", "info": OTHER_UUID + "\n"}, "dax0.1/dax0.1", none),
        ("label of pmemd, whatever the info block says", {"info": OTHER_UUID + "\n"}, "dax0.1/dax0.1", good),
    ]
    print(f"1..{len(rows) + 2}")
    for number, (what, attributes, path, wanted) in enumerate(rows, 1):
        with tempfile.TemporaryDirectory() as root:
            got = ask(f"{region(root, **attributes)}/{path}")
        print(f"{'ok' if got == wanted else 'not ok'} {number} - {what}" + ("" if got == wanted else f" # got {got}"))
    print(f"{'ok' if ask() == none else 'not ok'} {len(rows) + 1} - no argument")
    print(f"{'ok' if ask('/' + 'a' * 5000) == none else 'not ok'} {len(rows) + 2} - longer than a path")


if __name__ == "__main__":
    main()
