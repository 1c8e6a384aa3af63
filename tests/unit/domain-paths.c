/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-paths.h"

#include <string.h>

#include "proto/error.h"

#define UUID "0f6e6a3e-0000-4000-8000-000000000001"
#define HEAD "<domain type='kvm'><name>guest</name><uuid>" UUID "</uuid>"

static DomainPaths *parse(const char *xml) {
    g_autoptr(GError) error = NULL;
    DomainPaths *paths = domain_paths_parse(xml, strlen(xml), &error);

    g_assert_no_error(error);
    g_assert_cmpstr(paths->uuid, ==, UUID);
    return paths;
}

static void expect_error(const char *xml, size_t length, int code, const char *word) {
    g_autoptr(GError) error = NULL;

    g_test_message("%.*s", (int) MIN(length, 140), xml);
    g_assert_null(domain_paths_parse(xml, length, &error));
    g_assert_error(error, PMEMD_ERROR, code);
    g_assert_nonnull(strstr(error->message, word));
}

/* "M/path" backs memory, "-/path" does not. */
static void expect_paths(const char *xml, const char *wanted) {
    g_autoptr(DomainPaths) paths = parse(xml);
    g_autoptr(GString) found = g_string_new(NULL);

    for (guint i = 0; i < paths->paths->len; i++) {
        const DomainPath *path = g_ptr_array_index(paths->paths, i);
        g_string_append_printf(found, "%s%c%s", i > 0 ? " " : "", path->memory ? 'M' : '-', path->path);
    }
    g_assert_cmpstr(found->str, ==, wanted);
}

static void elements(void) {
    expect_paths(HEAD
                 "<devices>"
                 "<memory model='nvdimm' access='shared'><source><path>/dev/pmemd/by-uuid/x</path>"
                 "<alignsize unit='KiB'>2048</alignsize><pmem/></source><target><path>/not</path></target></memory>"
                 "<memory model='virtio-pmem'><source><path><![CDATA[/a & b]]></path></source></memory>"
                 "<memory model='nvdimm'><source><path>/q&amp;&#x41;&lt;</path></source></memory>"
                 "<disk type='block'><source dev='/dev/dax0.0' index='1'/>"
                 "<backingStore><source file='/b'/></backingStore></disk>"
                 "<memory model='dimm'><source><pagesize>4</pagesize></source></memory>"
                 "</devices></domain>",
                 "M/dev/pmemd/by-uuid/x M/a & b M/q&A< -/dev/dax0.0 -/b");
}

/* Only what libvirt reads there. */
static void elsewhere(void) {
    expect_paths(HEAD
                 "<metadata><x:y xmlns:x='http://x'><domain><devices><memory><source><path>/m</path></source></memory>"
                 "<disk><source file='/f'/></disk></devices></domain></x:y></metadata>"
                 "<memory><source><path>/n</path></source></memory><!-- "
                 "<devices><memory><source><path>/c</path></source></memory></devices> -->"
                 "<devices><emulator>/usr/bin/qemu</emulator><memory><path>/o</path></memory>"
                 "<memory><source><path>relative</path></source></memory>"
                 "<memory><source><path></path></source></memory></devices></domain>",
                 "");
}

static void command_line(void) {
    expect_paths(
        HEAD "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
             "<qemu:arg value='-object'/>"
             "<qemu:arg value='memory-backend-file,id=m,share=on,mem-path=/dev/dax1.0,size=4G'/>"
             "<qemu:arg value='-object'/><qemu:arg value='memory-backend-file,mem-path=/with,,comma,,,id=a'/>"
             "<qemu:arg value='-object'/>"
             "<qemu:arg "
             "value='{\"qom-type\":\"memory-backend-file\",\"mem-path\":\"/json\",\"x\":[{\"y\":\"/in\"}],\"s\":4}'/>"
             "<qemu:arg value='--mem-path'/><qemu:arg value='/old,style'/>"
             "<qemu:arg value='-drive'/><qemu:arg value='/dev/dax2.0,format=raw'/>"
             "<qemu:arg value='{\"broken'/><qemu:arg value=''/><qemu:arg name='x'/>"
             "<qemu:env name='A' value='/env'/></qemu:commandline></domain>",
        "M/dev/dax1.0 M/with,comma, M/json -/in M/old,style -/dev/dax2.0");
}

static void identity(void) {
    g_autoptr(DomainPaths) upper = parse("<domain><uuid>\n  0F6E6A3E-0000-4000-8000-000000000001 </uuid></domain>");
    g_assert_cmpstr(upper->name, ==, "");
    g_autoptr(DomainPaths) first =
        parse(HEAD "<uuid>ffffffff-0000-4000-8000-000000000001</uuid><name>b</name></domain>");
    g_assert_cmpstr(first->name, ==, "guest");
    static const char *const bad[] = {
        "<domain/>",
        "<domain><uuid>0f6e6a3e</uuid></domain>",
        "<domain><devices><uuid>" UUID "</uuid></devices></domain>",
        "<domain><uuid>../../../../../../../../../etc/passwd</uuid></domain>",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        expect_error(bad[i], strlen(bad[i]), PMEMD_ERROR_INVALID_ARGUMENT, "no uuid");
}

static void not_read(void) {
    static const char *const bad[] = {
        "",
        " ",
        "text",
        HEAD,
        HEAD "</domain",
        HEAD "<a></b></domain>",
        HEAD "<a>&undefined;</a></domain>",
        HEAD "<a>\xff\xfe</a></domain>",
        HEAD "<a b=c/></domain>",
        HEAD "</domain><domain>",
        "<pool><uuid>" UUID "</uuid></pool>",
        "\xff\xfe<\0d\0o\0",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        expect_error(bad[i], strlen(bad[i]), PMEMD_ERROR_INVALID_ARGUMENT, "XML");
    expect_error(HEAD "<a>\0</a></domain>", sizeof HEAD "<a>\0</a></domain>" - 1, PMEMD_ERROR_INVALID_ARGUMENT, "XML");
}

/* Entities are not replaced, whatever they say, and files not read. */
static void entities(void) {
    static const char bomb[] =
        "<!DOCTYPE d [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>" HEAD "<x>&b;</x></domain>";
    static const char file[] = "<!DOCTYPE d [<!ENTITY f SYSTEM 'file:///etc/passwd'>]>" HEAD "<x>&f;</x></domain>";

    expect_error(bomb, strlen(bomb), PMEMD_ERROR_INVALID_ARGUMENT, "XML");
    expect_error(file, strlen(file), PMEMD_ERROR_INVALID_ARGUMENT, "XML");
}

static char *nested(const char *before, const char *open, const char *shut, unsigned n, const char *after) {
    GString *text = g_string_new(before);

    for (unsigned i = 0; i < n; i++)
        g_string_append(text, open);
    for (unsigned i = 0; i < n; i++)
        g_string_append(text, shut);
    return g_string_free(g_string_append(text, after), FALSE);
}

static void limits(void) {
    g_autofree char *flat = nested(HEAD, "<x>", "</x>", DOMAIN_PATHS_MAX_DEPTH - 1, "</domain>");
    g_autofree char *deep = nested(HEAD, "<x>", "</x>", DOMAIN_PATHS_MAX_DEPTH, "</domain>");
    g_autofree char *json = nested(HEAD "<qemu:commandline><qemu:arg value='{\"a\":", "[", "]", 1000000,
                                   "}'/></qemu:commandline></domain>");
    g_autoptr(GString) many = g_string_new(HEAD "<devices>");
    g_autofree char *huge = g_malloc(DOMAIN_PATHS_MAX_BYTES + 1);
    g_autofree char *name = g_strnfill(8192, 'a');
    g_autofree char *path = g_strdup_printf(HEAD "<devices><disk><source file='/%s'/></disk></devices></domain>", name);

    expect_paths(flat, "");
    expect_error(deep, strlen(deep), PMEMD_ERROR_LIMITS_EXCEEDED, "nested");
    expect_error(json, strlen(json), PMEMD_ERROR_LIMITS_EXCEEDED, "nested");
    for (unsigned i = 0; i <= DOMAIN_PATHS_MAX; i++)
        g_string_append(many, "<disk><source file='/f'/></disk>");
    g_string_append(many, "</devices></domain>");
    expect_error(many->str, many->len, PMEMD_ERROR_LIMITS_EXCEEDED, "paths");
    memset(huge, ' ', DOMAIN_PATHS_MAX_BYTES + 1);
    expect_error(huge, DOMAIN_PATHS_MAX_BYTES + 1, PMEMD_ERROR_LIMITS_EXCEEDED, "bytes");
    expect_paths(path, "");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain-paths/elements", elements);
    g_test_add_func("/domain-paths/elsewhere", elsewhere);
    g_test_add_func("/domain-paths/command-line", command_line);
    g_test_add_func("/domain-paths/identity", identity);
    g_test_add_func("/domain-paths/not-read", not_read);
    g_test_add_func("/domain-paths/entities", entities);
    g_test_add_func("/domain-paths/limits", limits);
    return g_test_run();
}
