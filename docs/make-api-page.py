#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Makes the manual page org.pmemd1(5) from proto/org.pmemd1.xml, proto/org.pmemd1.Libvirt.xml and proto/error.[ch], and their comments.

usage: make-api-page.py PROTO > docs/man/org.pmemd1.5

A comment in front of a member is about it; the one in front of the root element is the introduction. The page is committed: a test
makes it again and compares.
"""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree

HEAD = r'''.\" SPDX-License-Identifier: LGPL-2.1-or-later
.\" SPDX-FileCopyrightText: The pmemd authors
.\" Made by docs/make-api-page.py from proto/org.pmemd1.xml: change that.
.TH org.pmemd1 5 "" pmemd "D-Bus interfaces"
.SH NAME
org.pmemd1 \- the D\-Bus interface of pmemd
.SH SYNOPSIS
Bus name
.BR org.pmemd1 ,
on the system bus. Objects:
.TP
.B /org/pmemd1
.BR org.pmemd1.Manager ,
.B org.freedesktop.DBus.ObjectManager
.TP
.BI /org/pmemd1/region/ UUID
.B org.pmemd1.Region
.TP
.BI /org/pmemd1/job/ UUID
.B org.pmemd1.Job
.PP
In paths a
.I UUID
has _ in place of \-.
'''

TAIL = r'''.SH EXAMPLES
.EX
busctl introspect org.pmemd1 /org/pmemd1
busctl call org.pmemd1 /org/pmemd1 org.pmemd1.Manager AllocateData \e
    "ta{sv}" $((4 << 30)) 1 name s guest0
.EE
.SH SEE ALSO
.BR pmemd (8),
.BR pmemctl (1),
.BR busctl (1)
'''


def text_of(comment):
    return " ".join((comment or "").split())


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def paragraphs(text):
    """Roff lines; what callers look for begins a line of its own."""
    lines = []
    for part in re.split(r"(?<=[.;:]) (?=options: |Errors: |since )", text):
        if lines:
            lines.append(".br")
        lines.append(escape(part[0].upper() + part[1:]))
    return lines


def arguments(member, direction):
    found = [a for a in member.findall("arg") if a.get("direction", direction) == direction]
    return ", ".join(f"{a.get('type')} {a.get('name')}" for a in found)


def title(member):
    name = member.get("name")
    if member.tag == "property":
        return f"{name} ({member.get('type')})"
    if member.tag == "signal":
        return f"{name} ({arguments(member, 'out')})"
    result = arguments(member, "out")
    return f"{name} ({arguments(member, 'in')})" + (f" \\(-> {result}" if result else "")


def interface_page(interface):
    out = [f'.SH "INTERFACE {interface.get("name")}"']
    groups = {"method": "Methods", "signal": "Signals", "property": "Properties"}
    members = {kind: [] for kind in groups}
    comment = None
    for child in interface:
        if child.tag is ElementTree.Comment:
            comment = text_of(child.text)
        else:
            members[child.tag].append((child, comment))
            comment = None
    for kind, heading in groups.items():
        if members[kind]:
            out.append(f".SS {heading}" + (" (read only)" if kind == "property" else ""))
        for member, comment in members[kind]:
            out += [".TP", f".B {escape(title(member)).replace(chr(92) + '-> ', '-> ').replace(chr(92) + 'e(', chr(92) + '(')}"]
            out += paragraphs(comment) if comment else ["\\&"]
    return out


def errors_page(header, table):
    """The names that error.c gives to the codes of error.h, with what the comments there say."""
    meaning = dict(re.findall(r"^    PMEMD_(ERROR_\w+), +/\* \w+(?:: (.*?))? \*/$", header, re.M))
    out = [".SH ERRORS", "A message says the cause, the numbers (hexadecimal frames, bytes) and what to do about it. With each name goes an errno,",
           "which libpmemd returns."]
    for code, name, errno in re.findall(r'\[PMEMD_(ERROR_\w+)\] = \{ "([\w.]+)", (\w+) \}', table):
        text = meaning[code]
        out += [".TP", f".BR {name} \" (\" {errno} )", escape(text[0].upper() + text[1:] + ".") if text else "\\&"]
    return out


def parse(xml):
    return ElementTree.fromstring(xml, ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True)))


def page(xml, libvirt_xml, error_h, error_c):
    prolog = [text_of(c) for c in re.findall(r"<!--(.*?)-->", xml.split("<node>", 1)[0], re.S)]
    introduction = re.search(r"<!--((?:(?!-->).)*)-->\s*<node>", xml, re.S)
    out = [HEAD.rstrip("\n"), ".SH DESCRIPTION"]
    assert text_of(introduction[1]) == prolog[-1]
    for number, paragraph in enumerate(re.split(r"\n\s*\n", introduction[1].strip())):
        out += ([".PP"] if number else []) + [escape(text_of(paragraph))]
    out += [".PP", "Signatures are those of D\\-Bus: t is an unsigned number of 64 bits, u of 32, i a signed one of 32, s a text, b a truth",
            "value, o an object path, d a floating\\-point number, a{sv} a dictionary of options. An option that a method does not know is",
            "refused."]
    comment = None
    for child in [*parse(xml), *parse(libvirt_xml)]:
        if child.tag is ElementTree.Comment:
            comment = text_of(child.text)
            continue
        lines = interface_page(child)
        out += lines[:1] + (paragraphs(comment) if comment else []) + lines[1:]
        comment = None
    out += errors_page(error_h, error_c)
    return "\n".join(out) + "\n" + TAIL


def read(name):
    with open(os.path.join(sys.argv[1], name), encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    sys.stdout.write(page(read("org.pmemd1.xml"), read("org.pmemd1.Libvirt.xml"), read("error.h"), read("error.c")))
