#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Checks the shape of the source tree: layers, cycles, headers, licence lines, goto and globals.

usage: check-layers.py [ROOT]       check the tree, say what is wrong as FILE:LINE: TEXT, exit 1 if anything is
       check-layers.py --self-test  check that each rule finds its fault in a small bad tree, and nothing in a good one

A module is a .c/.h pair of daemon/. It includes modules of a lower level, and proto/. proto/ includes proto/ only;
client/ includes client/ and proto/. The table of docs/architecture.md says the same as the one here.
"""

import os
import re
import sys
import tempfile

LEVELS = [
    ("below log", {"event", "patience"}),
    # Used by modules of level 0.
    ("below 0", {"account", "crc32c", "sigbus-guard", "journal-bytes", "json-text", "log", "number", "pair-tree"}),
    ("0", {"region-map", "journal-format", "lease", "medium", "caller", "worker", "state-dir"}),
    ("below 0", {"frame-set"}),
    ("0", {"attribute-watch", "bad-frames", "dimm-health"}),
    ("0", {"action", "bus-news", "bus-turns", "bus-unread", "polkit", "stats"}),
    ("0", {"label-area"}),
    ("0", {"file-io", "file-regions", "bus-descriptors", "bus-error", "bus-reply", "audit", "conf-file", "manage-list", "mappers", "power-loss", "quota", "rate-limit"}),
    ("0.1", {"config"}),
    ("1", {"journal", "state", "backend", "hints", "file-fault", "file-record", "file-image", "bus-options"}),
    ("1", {"backend-ndctl-kind", "backend-ndctl-label-io", "backend-ndctl-placement", "backend-ndctl-context", "backend-ndctl-busy", "file-health"}),
    # Nouns that modules of level 2 were split by, one on the other.
    ("1.1", {"label-check", "backend-ndctl-dax"}),
    ("1.1", {"rules-placement", "backend-ndctl-align", "backend-ndctl-health", "backend-ndctl-labels", "file-index"}),
    ("1.2", {"backend-ndctl-facts"}),
    ("1.3", {"backend-ndctl-seed", "backend-ndctl-remove", "backend-ndctl-content"}),
    ("1.4", {"backend-ndctl-repair", "backend-ndctl-create", "backend-ndctl-clear"}),
    ("2", {"backend-ndctl", "backend-file", "locate", "rules", "recovery"}),
    ("3", {"manager"}),
    ("3.1", {"bus-audit"}),
    ("4", {"alarm", "eraser", "bus-view", "watch"}),
    ("4.0", {"bus-bad"}),
    ("4.1", {"bus-authorize", "bus-find", "bus-hold", "bus-lease", "bus-list", "bus-locate", "bus-metrics", "bus-region"}),
    ("4.2", {"bus-job", "bus-request"}),
    ("5", {"bus"}),
    ("6", {"main"}),
    ("6.1", {"journal-tool", "labels-tool"}),
]

# Further files of a module: variants behind its header, and private headers, which no other module includes.
PARTS = {
    "daemon/backend-file-clear": "daemon/backend-file",
    "daemon/backend-file-create": "daemon/backend-file",
    "daemon/backend-file-destroy": "daemon/backend-file",
    "daemon/backend-file-internal": "daemon/backend-file",
    "daemon/backend-file-list": "daemon/backend-file",
    "daemon/backend-file-open": "daemon/backend-file",
    "daemon/backend-file-renew": "daemon/backend-file",
    "daemon/bus-change": "daemon/bus",
    "daemon/bus-internal": "daemon/bus",
    "daemon/bus-read": "daemon/bus",
    "daemon/medium-file": "daemon/medium",
    "daemon/medium-image": "daemon/medium",
    "daemon/medium-mapped": "daemon/medium",
    "daemon/journal-payload": "daemon/journal-format",
    "daemon/journal-internal": "daemon/journal",
    "daemon/journal-repair": "daemon/journal",
    "daemon/journal-replay": "daemon/journal",
    "daemon/state-apply": "daemon/state",
    "daemon/state-erase": "daemon/state",
    "daemon/state-bad": "daemon/state",
    "daemon/state-internal": "daemon/state",
    "daemon/state-lease": "daemon/state",
    "daemon/state-path": "daemon/state",
    "daemon/state-region": "daemon/state",
    "daemon/rules-allocate": "daemon/rules-placement",
    "daemon/rules-lease": "daemon/rules",
    "daemon/rules-pool": "daemon/rules",
    "daemon/rules-warning": "daemon/rules",
    "daemon/manager-backend": "daemon/manager",
    "daemon/manager-adopt": "daemon/manager",
    "daemon/manager-bad": "daemon/manager",
    "daemon/manager-create": "daemon/manager",
    "daemon/manager-follow": "daemon/manager",
    "daemon/manager-forget": "daemon/manager",
    "daemon/manager-in-ram": "daemon/manager",
    "daemon/manager-internal": "daemon/manager",
    "daemon/manager-journal": "daemon/manager",
    "daemon/manager-lease": "daemon/manager",
    "daemon/manager-limits": "daemon/manager",
    "daemon/manager-listing": "daemon/manager",
    "daemon/manager-pool": "daemon/manager",
    "daemon/manager-erase": "daemon/manager",
    "daemon/manager-release": "daemon/manager",
    "daemon/manager-repair": "daemon/manager",
    "daemon/manager-start": "daemon/manager",
    "client/libpmemd-call": "client/libpmemd",
    "client/libpmemd-events": "client/libpmemd",
    "client/libpmemd-health": "client/libpmemd",
    "client/libpmemd-leases": "client/libpmemd",
    "client/libpmemd-libvirt": "client/libpmemd",
    "client/libpmemd-methods": "client/libpmemd",
    "client/libpmemd-private": "client/libpmemd",
    "client/libpmemd-repair": "client/libpmemd",
    "client/libpmemd-request": "client/libpmemd",
    "client/libpmemd-results": "client/libpmemd",
    "client/libpmemd-values": "client/libpmemd",
}

# Modules of daemon/ and client/ which are a .c alone.
WITHOUT_HEADER = {"daemon/main", "daemon/journal-tool", "daemon/labels-tool", "client/pmemctl"}

# (file, variable): state that cannot be anywhere else. Only _Thread_local ones with a comment above may be listed.
ALLOWED_GLOBALS = {
    ("daemon/sigbus-guard.c", "innermost"),  # a signal handler has no other way to find it
}

SPDX_LINES = ("SPDX-License-Identifier: LGPL-2.1-or-later", "SPDX-FileCopyrightText: The pmemd authors")
SPDX_SUFFIXES = (".c", ".h", ".py", ".sh", ".build", ".options", ".xml")
DOCUMENT = "docs/architecture.md"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def module_of(path):
    """daemon/journal-format.h -> daemon/journal-format"""
    module = os.path.splitext(path)[0]
    return PARTS.get(module, module)


def blank(text):
    """The C text with comments, strings and character constants made blank, line numbers kept."""

    def replace(match):
        token = match.group(0)
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[-1]

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', replace, text, flags=re.S)


def without_directives(text):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.M)


def variable_of(statement):
    """(name, is constant, is per thread) of the variable that a declaration declares, or None: it declares none."""
    text = re.sub(r"__attribute__\s*\(\(.*?\)\)", " ", statement, flags=re.S)
    text = " ".join(text.split())
    declarator = text.split("=", 1)[0]
    if re.match(r"(typedef|return|extern \"C\")\b", text) or not declarator.strip():
        return None
    if re.match(r"(static |extern )?(const )?(struct|union|enum)( \w+)?( \{\})?$", declarator.strip()):
        return None
    if "(" in declarator:
        pointer = re.search(r"\(\s*\*\s*(const\s+)?(\w+)\s*(\[[^\]]*\]\s*)*\)\s*\(", declarator)
        if not pointer or re.match(r"[\w\s*]*\b\w+\s*\((?!\s*\*)", declarator):
            return None  # a prototype, or a macro call
        return pointer.group(2), bool(pointer.group(1)), "_Thread_local" in declarator
    declarator = re.sub(r"\[[^\]]*\]", "", declarator).replace("{}", " ")
    words = re.findall(r"\w+|\*", declarator)
    if len(words) < 2:
        return None
    after_star = declarator.rsplit("*", 1)[-1]
    constant = re.search(r"\bconst\b", after_star) is not None
    return words[-1], constant, "_Thread_local" in words or "__thread" in words


def variables(text):
    """Yields (line, name, constant, per thread) of file-scope variables and of static ones inside functions."""
    code = without_directives(blank(text))
    depth, start, kept = 0, 0, []
    in_initializer = False
    for at, char in enumerate(code):
        if char == "{":
            if depth == 0:
                in_initializer = "=" in "".join(kept) or re.search(r"\b(struct|union|enum)\b[^()]*$", "".join(kept))
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                if in_initializer:
                    kept.append("{}")
                else:
                    kept = []  # a function's body
        elif depth == 0:
            if char == ";":
                found = variable_of("".join(kept))
                if found:
                    yield (code.count("\n", 0, start) + 1, *found)
                kept = []
            else:
                if not "".join(kept).strip():
                    start = at
                kept.append(char)
    for match in re.finditer(r"^[ \t]+static\b[^;{(]*[;={(]", code, flags=re.M):
        found = variable_of(match.group(0).strip().rstrip(";={("))
        if found:
            yield (code.count("\n", 0, match.start()) + 1, *found)


def cycles(graph):
    """The cycles found by walking the graph: each as a list of nodes that ends with its first."""
    state, found = {}, []

    def visit(node, path):
        state[node] = "open"
        path.append(node)
        for other in sorted(graph.get(node, ())):
            if state.get(other) == "open":
                found.append(path[path.index(other):] + [other])
            elif other not in state:
                visit(other, path)
        path.pop()
        state[node] = "done"

    for node in sorted(graph):
        if node not in state:
            visit(node, [])
    return found


class Checker:
    def __init__(self, root):
        self.root = root
        self.faults = []
        labels = [label for label, _ in LEVELS]
        self.height = {f"daemon/{name}": labels.index(label) for label, row in LEVELS for name in row}

    def fault(self, path, line, text):
        self.faults.append(f"{path}:{line}: {text}")

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def all_files(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(
                f
                for f in folders
                if f not in (".git", "__pycache__", ".cache")
                and not os.path.isdir(os.path.join(folder, f, "meson-info"))
            )
            for name in sorted(names):
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def check(self):
        sources = []
        for path in self.all_files():
            full = os.path.join(self.root, path)
            if os.path.islink(full):
                continue
            with open(full, "rb") as file:
                head = file.read(600)
            if path.endswith(SPDX_SUFFIXES) or head.startswith(b"#!"):
                self.check_spdx(path, head)
            if path.endswith((".c", ".h")):
                text = self.read(path)
                self.check_goto(path, text)
                if path.endswith(".h"):
                    self.check_pragma(path, text)
                if path.split(os.sep)[0] in ("proto", "daemon", "client"):
                    sources.append((path, text))
                    self.check_globals(path, text)
        self.check_includes(sources)
        return self.faults

    def check_spdx(self, path, head):
        lines = head.decode("utf-8", "replace").split("\n")[:6]
        for wanted in SPDX_LINES:
            if not any(wanted in line for line in lines):
                self.fault(path, 1, f"no line '{wanted}' at the top")

    def check_goto(self, path, text):
        for match in re.finditer(r"\bgoto\b", blank(text)):
            self.fault(path, text.count("\n", 0, match.start()) + 1, "goto")

    def check_pragma(self, path, text):
        directive = re.search(r"^\s*#.*$", blank(text), flags=re.M)
        if not directive or directive.group(0).split() != ["#pragma", "once"]:
            self.fault(path, 1, "the first directive is not '#pragma once'")

    def check_globals(self, path, text):
        lines = text.split("\n")
        for line, name, constant, per_thread in variables(text):
            if constant:
                continue
            above = lines[line - 2].strip() if line >= 2 else ""
            commented = above.endswith("*/") or "/*" in lines[line - 1]
            if (path, name) in ALLOWED_GLOBALS and per_thread and commented:
                continue
            self.fault(path, line, f"'{name}' is a variable that outlives its function and is not const")

    def check_includes(self, sources):
        headers, modules = {}, {}
        for path, text in sources:
            module = module_of(path)
            if path.startswith("daemon/") and module not in self.height:
                self.fault(path, 1, f"module '{os.path.basename(module)}' is not in the table of levels")
            for number, line in enumerate(text.split("\n"), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                target = match.group(1)
                self.check_include(path, number, target)
                modules.setdefault(module, set()).add(module_of(target))
                if path.endswith(".h"):
                    headers.setdefault(path, set()).add(target)
            modules.get(module, set()).discard(module)
            if path.endswith(".c"):
                self.check_own_header(path, text)
        self.check_document({module for path, text in sources if (module := module_of(path)) in self.height})
        for cycle in cycles(headers):
            self.fault(cycle[0], 1, "headers include each other: " + " -> ".join(cycle))
        for cycle in cycles(modules):
            self.fault(cycle[0] + ".h", 1, "modules include each other: " + " -> ".join(cycle))

    def check_document(self, modules):
        """The table of levels that people read has the modules of the tree, each at its level, and no other."""
        if not os.path.exists(os.path.join(self.root, DOCUMENT)):
            return
        section = self.read(DOCUMENT).partition("\n## Levels\n")[2].partition("\n## ")[0]
        told = {}
        for label, names in re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]* \|$", section, flags=re.M)[2:]:
            told.update({f"daemon/{name}": label for name in names.split(", ")})
        for module in sorted(modules | set(told)):
            level = LEVELS[self.height[module]][0] if module in modules else None
            if told.get(module) != level:
                name = os.path.basename(module)
                self.fault(DOCUMENT, 1, f"'{name}' is at level {told.get(module)}, in the tree at level {level}")

    def check_include(self, path, line, target):
        folder, target_folder = path.split("/")[0], target.split("/")[0]
        module, other = module_of(path), module_of(target)
        if not os.path.exists(os.path.join(self.root, target)):
            self.fault(path, line, f'"{target}" does not exist from the root of the project')
        elif not target.endswith(".h"):
            self.fault(path, line, f'"{target}" is not a header')
        elif target_folder not in ("proto", folder):
            self.fault(path, line, f"{folder}/ includes {target_folder}/")
        elif other != module and other != os.path.splitext(target)[0]:
            self.fault(path, line, f'"{target}" is private to {other}')
        elif other != module and module in self.height and other in self.height:
            mine, its = self.height[module], self.height[other]
            if its >= mine:
                self.fault(
                    path,
                    line,
                    f"'{os.path.basename(module)}' (level {LEVELS[mine][0]}) includes "
                    f"'{os.path.basename(other)}' (level {LEVELS[its][0]})",
                )

    def check_own_header(self, path, text):
        """A .c includes its module's header first (or a private one of the module), so that it stands alone."""
        module = module_of(path)
        own = f"{module}.h"
        first = re.search(r'^\s*#\s*include\s+["<]([^">]+)[">]', text, flags=re.M)
        if not os.path.exists(os.path.join(self.root, own)):
            if path.startswith("daemon/") and module not in WITHOUT_HEADER:
                self.fault(path, 1, "has no header of its own")
        elif not first or module_of(first.group(1)) != module:
            line = text.count("\n", 0, first.start(1)) + 1 if first else 1
            self.fault(path, line, f'does not include "{own}" first')


# ---- self-test ----

HEAD = "/* " + SPDX_LINES[0] + " */\n/* " + SPDX_LINES[1] + " */\n"
GOOD = {
    "proto/types.h": HEAD + "#pragma once\n#include <stdint.h>\n",
    "daemon/region-map.h": HEAD
    + '#pragma once\n#include "proto/types.h"\nstruct A;\nstruct B {\n    int x;\n};\ntypedef int (*F)(int);\n'
    + "extern const int one;\nint f(int (*callback)(int), void *p);\nG_DEFINE_AUTOPTR_CLEANUP_FUNC(A, f)\n",
    "daemon/region-map.c": HEAD
    + '#include "daemon/region-map.h"\n/* no goto */\nstatic const char *const names[] = { "goto", "b" };\n'
    + "const int one = 1;\nG_STATIC_ASSERT(sizeof(int) == 4);\nenum { N = 2 };\n"
    + "static int (*const table[])(int) = { 0 };\nstatic const struct {\n    int a;\n} rows[] = { { 1 } };\n"
    + "int f(int (*callback)(int), void *p) {\n    static const int k = 3;\n    int v = k;\n    return v;\n}\n",
    "daemon/medium.h": HEAD + "#pragma once\n",
    "daemon/medium.c": HEAD + '#include "daemon/medium.h"\n',
    "daemon/medium-file.c": HEAD + '#include "daemon/medium.h"\n',
    "daemon/sigbus-guard.h": HEAD + "#pragma once\n",
    "daemon/sigbus-guard.c": HEAD
    + '#include "daemon/sigbus-guard.h"\n/* A handler has no argument of ours. */\nstatic _Thread_local int *innermost;\n',
    "daemon/state.h": HEAD + '#pragma once\n#include "daemon/region-map.h"\n',
    "daemon/main.c": HEAD + '#include "daemon/state.h"\nint main(void) {\n    return 0;\n}\n',
    "client/libpmemd.h": HEAD + '#pragma once\n#include "proto/types.h"\n',
    "client/libpmemd.c": HEAD + '#include "client/libpmemd.h"\n',
    "docs/architecture.md": "# A\n\n## Levels\n\n| level | module | one line |\n| --- | --- | --- |\n"
    + "| below 0 | sigbus-guard | a |\n| 0 | region-map, medium | b |\n| 1 | state | c |\n| 6 | main | d |\n\n## B\n",
    "meson.build": "# " + SPDX_LINES[0] + "\n# " + SPDX_LINES[1] + "\n",
    "tests/run": "#!/bin/sh\n# " + SPDX_LINES[0] + "\n# " + SPDX_LINES[1] + "\n",
}

# What to add to the good tree, and what must then be said (and nothing else).
BAD = [
    ({"daemon/region-map.h": HEAD + '#pragma once\n#include "daemon/state.h"\n'},
     ["region-map.h:4: 'region-map' (level 0) includes 'state' (level 1)", "headers include each other",
      "modules include each other"]),
    ({"daemon/region-map.h": HEAD + '#pragma once\n#include "daemon/medium.h"\n'},
     ["region-map.h:4: 'region-map' (level 0) includes 'medium' (level 0)"]),
    ({"docs/architecture.md": "\n## Levels\n\n| level | module | one line |\n| --- | --- | --- |\n"
      + "| below 0 | sigbus-guard | a |\n| 0 | region-map, medium, other | b |\n| 5 | main | d |\n"},
     ["'main' is at level 5, in the tree at level 6", "'other' is at level 0, in the tree at level None",
      "'state' is at level None, in the tree at level 1"]),
    ({"daemon/medium-file.c": HEAD + '#include "daemon/medium.h"\n#include "daemon/state.h"\n'},
     ["medium-file.c:4: 'medium' (level 0) includes 'state' (level 1)"]),
    ({"daemon/other.h": HEAD + "#pragma once\n"}, ["other.h:1: module 'other' is not in the table"]),
    ({"proto/types.h": HEAD + '#pragma once\n#include "daemon/medium.h"\n'}, ["types.h:4: proto/ includes daemon/"]),
    ({"client/libpmemd.c": HEAD + '#include "client/libpmemd.h"\n#include "daemon/state.h"\n'},
     ["libpmemd.c:4: client/ includes daemon/"]),
    ({"client/a.h": HEAD + '#pragma once\n#include "client/b.h"\n',
      "client/b.h": HEAD + '#pragma once\n#include "client/a.h"\n'},
     ["headers include each other: client/a.h -> client/b.h -> client/a.h", "modules include each other"]),
    ({"client/a.h": HEAD + "#pragma once\n", "client/a.c": HEAD + '#include "client/a.h"\n#include "client/b.h"\n',
      "client/b.h": HEAD + "#pragma once\n", "client/b.c": HEAD + '#include "client/b.h"\n#include "client/a.h"\n'},
     ["modules include each other: client/a -> client/b -> client/a"]),
    ({"daemon/region-map.c": HEAD + '#include <stdio.h>\n#include "daemon/region-map.h"\n'},
     ['region-map.c:3: does not include "daemon/region-map.h" first']),
    ({"daemon/medium-mapped.c": HEAD + "#include <stdio.h>\n"}, ['medium-mapped.c:3: does not include "daemon/medium']),
    ({"daemon/state-internal.h": HEAD + '#pragma once\n#include "daemon/state.h"\n',
      "daemon/main.c": HEAD + '#include "daemon/state-internal.h"\n'},
     ['main.c:3: "daemon/state-internal.h" is private to daemon/state']),
    ({"daemon/watch.c": HEAD},
     ["watch.c:1: has no header of its own", "'watch' is at level None, in the tree at level 4"]),
    ({"daemon/state.h": HEAD + '#pragma once\n#include "region-map.h"\n'}, ["state.h:4: \"region-map.h\" does not ex"]),
    ({"daemon/state.h": HEAD + "#ifndef A\n#define A\n#endif\n"}, ["state.h:1: the first directive is not"]),
    ({"daemon/state.h": "#pragma once\n"}, ["state.h:1: no line 'SPDX-License", "state.h:1: no line 'SPDX-FileC"]),
    ({"tests/run": "#!/bin/sh\n"}, ["tests/run:1: no line 'SPDX-License", "tests/run:1: no line 'SPDX-FileC"]),
    ({"tests/meson.build": "\n"}, ["meson.build:1: no line", "meson.build:1: no line"]),
    ({"tests/t.c": HEAD + "int f(void) {\n    goto out;\n}\n"}, ["t.c:4: goto"]),
    ({"client/a.c": HEAD + "static int counter;\n"}, ["a.c:3: 'counter'"]),
    ({"client/a.c": HEAD + "static int counter = f(1);\n"}, ["a.c:3: 'counter'"]),
    ({"client/a.c": HEAD + "int counters[3] = { 1, 2 };\n"}, ["a.c:3: 'counters'"]),
    ({"client/a.c": HEAD + "\nstatic const char *name = \"x\";\n"}, ["a.c:4: 'name'"]),
    ({"client/a.c": HEAD + "static struct {\n    int a;\n} thing;\n"}, ["a.c:3: 'thing'"]),
    ({"client/a.c": HEAD + "static void (*hook)(int);\n"}, ["a.c:3: 'hook'"]),
    ({"client/a.c": HEAD + "int f(void) {\n    static int calls = 0;\n    return calls++;\n}\n"}, ["a.c:4: 'calls'"]),
    ({"client/a.c": HEAD + "/* why */\nstatic _Thread_local int mine;\n"}, ["a.c:4: 'mine'"]),
    ({"daemon/sigbus-guard.c": HEAD + '#include "daemon/sigbus-guard.h"\nstatic _Thread_local int *innermost;\n'},
     ["sigbus-guard.c:4: 'innermost'"]),
]


def check_tree(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        return Checker(root).check()


def self_test():
    failed = 0
    for number, (change, wanted) in enumerate([({}, [])] + BAD):
        faults = check_tree({**GOOD, **change})
        missing = [w for w in wanted if not any(w in f for f in faults)]
        right = not missing and len(faults) == len(wanted)
        print(f"{'ok' if right else 'not ok'} {number + 1} {' '.join(wanted)[:90] or 'a good tree'}")
        if not right:
            failed += 1
            print("# wanted: " + "; ".join(wanted) + "\n# got: " + "; ".join(faults))
    print(f"1..{len(BAD) + 1}")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.isdir(os.path.join(root, "daemon")):
        print(f"check-layers: {root} has no folder daemon/", file=sys.stderr)
        return 2
    faults = Checker(root).check()
    for fault in faults:
        print(fault)
    print(f"check-layers: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
