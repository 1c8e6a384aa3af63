#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Checks the manual pages: their roff, and that they say what the programs and contracts say.

usage: check-man.py ROOT PMEMD PMEMCTL [PMEMD-LIBVIRT]

Prints TAP. Every page of docs/man is linted; org.pmemd1(5) is made again; pmemd(8) has every option, exit status, event and state; pmemd.conf(5)
and the pmemd.conf that is installed have every key, with its default; pmemctl(1) has every verb and option, libpmemd(3) every function.
"""

import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def text_of(root, page):
    """The page as it reads, on one long line."""
    done = subprocess.run(["mandoc", "-T", "ascii", "-O", "width=1000", os.path.join(root, "docs/man", page)], capture_output=True,
                          text=True, check=True)
    return re.sub(r".\x08", "", done.stdout)


def check_roff(root, _):
    pages = sorted(glob.glob(os.path.join(root, "docs/man/*")))
    assert len(pages) >= 2, pages
    # A date that nobody keeps up is worse than none.
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, check=False)
    said = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert not said, "\n".join(said)
    for page in pages:
        lines = read(root, page).splitlines()
        assert [line.removeprefix('.\\" ')[:4] for line in lines[:2]] == ["SPDX"] * 2, f"{page} has no licence lines"
        assert re.search(r"^\.TH \S+ [158] |^\.TH \S+ 3 ", "\n".join(lines), re.M), f"{page} has no .TH"


def check_api_page(root, _):
    made = subprocess.run([sys.executable, os.path.join(root, "docs/make-api-page.py"), os.path.join(root, "proto")],
                          capture_output=True, text=True, check=True).stdout
    assert made == read(root, "docs/man/org.pmemd1.5"), "make it anew: docs/make-api-page.py proto > docs/man/org.pmemd1.5"
    text = text_of(root, "org.pmemd1.5")
    members = re.findall(r'<(?:method|signal|property) name="(\w+)"', read(root, "proto/org.pmemd1.xml") + read(root, "proto/org.pmemd1.Libvirt.xml"))
    missing = [m for m in members if not re.search(rf"^ +{m} \(", text, re.M)]
    assert members and not missing, missing


def check_options(root, pmemd):
    programs = [(pmemd, "pmemd.8", "SIGNALS")]
    if len(sys.argv) > 4:
        programs.append((sys.argv[4], "pmemd-libvirt.8", "FILES"))
    for program, page, after in programs:
        check_options_of(root, program, page, after)


def check_options_of(root, pmemd, page, after):
    shown = subprocess.run([pmemd, "--help"], capture_output=True, text=True, check=True,
                           env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout
    page = text_of(root, page)
    options = re.findall(r"^ +(?:-\w, )?(--[\w-]+)", shown, re.M)
    section = page.split("\nOPTIONS\n")[1].split("\nEXIT STATUS\n")[0]
    documented = re.findall(r"^ +(?:-\w, )?(--[\w-]+)", section, re.M)
    assert options and set(options) == set(documented), set(options) ^ set(documented)
    statuses = re.findall(r"^  (\d)  ", shown, re.M)
    section = page.split("\nEXIT STATUS\n")[1].split(f"\n{after}\n")[0]
    assert statuses and statuses == re.findall(r"^ +(\d)(?: |$)", section, re.M), section


def check_events(root, _):
    rows = re.findall(r'\[EVENT_\w+\] = \{\s*"([a-z-]+)",\s*"([0-9a-f]{32})",\s*LOG_(\w+)', read(root, "daemon/event.c"))
    page = re.findall(r"^ +([a-z-]+) \((\w+)\)\n +([0-9a-f]{32})$", text_of(root, "pmemd.8"), re.M)
    assert [(n, p.lower(), i) for n, i, p in rows] == page, set((n, p.lower(), i) for n, i, p in rows) ^ set(page)


def check_states(root, _):
    page = text_of(root, "pmemd.8").split("\nSTATES\n")[1].split("\nRECOVERY\n")[0]
    words = set(re.findall(r"^ {7}([a-z-]+(?:, [a-z-]+)*)(?: |$)", page, re.M))
    words = {word for group in words for word in group.split(", ")}
    xml = read(root, "proto/org.pmemd1.xml")
    for what in (r"State s \((\"ok\", \"read-only\".*?)\)", r"State s \((\"ok\", \"creating\".*?)\)", r"Kind s \((\"foreign\".*?)\)",
                 r"<!-- (\"recovering\".*?)\. "):
        states = re.findall(r'"([a-z-]+)"', re.search(what, xml, re.S)[1])
        assert len(states) >= 3 and set(states) <= words, f"not in the page: {set(states) - words}"


def check_config(root, pmemd):
    def effective(path):
        done = subprocess.run([pmemd, "--check-config", "--config=" + path], capture_output=True, text=True, check=True)
        assert done.stderr == "", done.stderr
        return re.findall(r"^(\w+)=(.*)$", done.stdout, re.M)

    defaults = effective("/dev/null")
    assert len(defaults) > 10, defaults
    page = text_of(root, "pmemd.conf.5")
    section = page.split("\nKEYS\n")[1].split("\nQUOTAS\n")[0]
    documented = re.findall(r"^ +(\w+)=(.*)$", section, re.M)
    assert documented == defaults, set(documented) ^ set(defaults)

    # The file as it is installed says nothing, and without its comment signs the same.
    shipped = os.path.join(root, "daemon/pmemd.conf")
    assert effective(shipped) == defaults
    text, quotas = read(root, "daemon/pmemd.conf").split("#[quota default]\n")
    assert quotas == "#Bytes=unlimited\n", quotas
    assert re.findall(r"^#(\w+)=(.*)$", text, re.M) == defaults, "daemon/pmemd.conf"
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(re.sub(r"^#(\w+=)", r"\1", text, flags=re.M))
        file.flush()
        assert effective(file.name) == defaults


def ask_pmemctl(*arguments):
    return subprocess.run([sys.argv[3], *arguments], capture_output=True, text=True, check=True).stdout


def tags_of(section):
    """What the paragraphs with tags of roff begin with, as it reads."""
    tags = [" ".join(line.split(" ")[1:]) for line in re.findall(r"^\.TP\n(.*)$", section, re.M)]
    return [re.sub(r"\\f.", "", "".join(shlex.split(tag.replace("\\-", "-").replace("\\f", "\\\\f")))) for tag in tags]


def check_pmemctl(root, _):
    page = text_of(root, "pmemctl.1")
    verbs = ask_pmemctl("list-cmds").split()
    written = [tag.split(" ", 1) for tag in tags_of(read(root, "docs/man/pmemctl.1").split("\n.SH VERBS\n")[1].split("\n.SH ")[0])]
    assert [tag[0] for tag in written] == verbs, set(tag[0] for tag in written) ^ set(verbs)
    shown = re.findall(r"^  ([a-z][a-z-]*.*)\n      ", ask_pmemctl("help"), re.M)
    assert [" ".join(tag) for tag in written] == shown, set(" ".join(tag) for tag in written) ^ set(shown)

    section = page.split("\nOPTIONS\n")[1].split("\nOUTPUT\n")[0]
    options = {option for verb in verbs for option in ask_pmemctl("list-cmds", verb).split()}
    documented = set()
    for short, option in re.findall(r"^ {7}(?:(-\w), )?(--[\w-]+=?)", section, re.M):
        documented |= {option, short} - {""}
    assert documented == options, documented ^ options
    formats = re.search(r"--format=FORMAT\s+(\w.*?) \(the default\), (\w+) or ([\w-]+), of metrics (\w+) or (\w+);", section)
    section = page.split("\nOUTPUT\n")[1].split("\nGUESTS\n")[0]
    assert re.findall(r"^ {7}([a-z-]+)(?:  |$)", section, re.M) == list(formats.groups()), formats
    section = page.split("\nEXIT STATUS\n")[1].split("\nENVIRONMENT\n")[0]
    assert re.findall(r"^ {7}(\d) ", section, re.M) == re.findall(r"(\d) (?:done|refused|bad)", ask_pmemctl("help")), section


def functions_of(text):
    """{name: declaration} of C text, blanks evened out."""
    found = re.findall(r"^ *((?:const )?\w+ \**)(pmemd_\w+)(\([^;]*\));", text, re.M)
    return {name: " ".join((kind + name + arguments).replace(" )", ")").split()) for kind, name, arguments in found}


def check_libpmemd(root, _):
    header = functions_of(re.sub(r"/\*.*?\*/", "", read(root, "client/libpmemd.h"), flags=re.S))
    page = text_of(root, "libpmemd.3")
    documented = functions_of(page)
    assert header and header == documented, set(header.items()) ^ set(documented.items())
    names = set(re.findall(r"\b(PMEMD_(?:ERROR_NAME|EVENT|OPERATION)_\w+)", read(root, "client/libpmemd.h")))
    missing = [name for name in names if not re.search(rf"\b{name}\b", page)]
    assert names and not missing, missing


def main():
    checks = [check_roff, check_api_page, check_options, check_events, check_states, check_config, check_pmemctl, check_libpmemd]
    print(f"1..{len(checks)}")
    failed = 0
    for number, check in enumerate(checks, 1):
        try:
            check(sys.argv[1], sys.argv[2])
            print(f"ok {number} {check.__name__}")
        except AssertionError as error:
            failed = 1
            print(f"not ok {number} {check.__name__}\n# " + str(error).replace("\n", "\n# "))
    return failed


if __name__ == "__main__":
    sys.exit(main())
