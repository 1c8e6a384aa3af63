/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "client/libvirt/domain-leases.h"

#include <string.h>

/* Short names stand for uuids here. */
typedef struct {
    GPtrArray *domains, *leases;
    GHashTable *seen;
} Fixture;

static void clear(Fixture *f) {
    g_ptr_array_set_size(f->domains, 0);
    g_ptr_array_set_size(f->leases, 0);
}

static void set_up(Fixture *f, const void *data) {
    f->domains = g_ptr_array_new_with_free_func(domain_state_free);
    f->leases = g_ptr_array_new_with_free_func(domain_lease_free);
    f->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void tear_down(Fixture *f, const void *data) {
    g_ptr_array_unref(f->domains);
    g_ptr_array_unref(f->leases);
    g_hash_table_unref(f->seen);
}

/* "r1 r2": what its live XML has; NULL: it does not run. */
static DomainState *domain(Fixture *f, const char *uuid, const char *live) {
    DomainState *state = domain_state_new(uuid, "name", live != NULL);
    g_auto(GStrv) regions = g_strsplit(live ? live : "", " ", -1);

    for (size_t i = 0; regions[i]; i++)
        if (regions[i][0] != '\0')
            g_ptr_array_add(state->live, g_strdup(regions[i]));
    g_ptr_array_add(f->domains, state);
    return state;
}

static DomainLease *lease(Fixture *f, const char *region, const char *owner) {
    DomainLease *item = domain_lease_new(region, owner);

    item->own = item->confirmed = item->marked = true;
    g_ptr_array_add(f->leases, item);
    return item;
}

/* "+domain:region", "-domain:region", "!domain:region:holder", and "?" when another user says that it is that one */
static void expect(Fixture *f, const char *wanted) {
    g_autoptr(GPtrArray) actions = domain_leases_decide(f->domains, f->leases, f->seen);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < actions->len; i++) {
        const DomainAction *action = g_ptr_array_index(actions, i);
        g_string_append_printf(text, "%s%c%s:%s%s%s%s", i > 0 ? " " : "", "+-!"[action->kind], action -> domain,
                               action -> region, action -> holder ? ":" : "", action->holder ? action->holder : "",
                               action->holder && !action->holder_is_own ? "?" : "");
    }
    g_assert_cmpstr(text->str, ==, wanted);
    clear(f);
}

static void at_rest(Fixture *f, const void *data) {
    expect(f, "");
    domain(f, "a", "r1 r2");
    domain(f, "b", NULL);
    lease(f, "r1", "a");
    lease(f, "r2", "a");
    lease(f, "r3", "me")->marked = false;
    expect(f, "");
}

static void lends(Fixture *f, const void *data) {
    domain(f, "a", "r1 r2 r3");
    lease(f, "r2", "a")->confirmed = false;
    lease(f, "r3", "a");
    expect(f, "+a:r1 +a:r2");
    /* Nothing certain is known of one that is starting. */
    domain(f, "a", "r1")->unclear = true;
    expect(f, "");
}

static void conflicts(Fixture *f, const void *data) {
    domain(f, "a", "r1 r2");
    lease(f, "r1", "b")->marked = false;
    lease(f, "r2", "a")->own = false;
    expect(f, "!a:r1:b !a:r2:a?");
    /* Both run. Who has the lease keeps it. */
    domain(f, "a", "r1");
    domain(f, "b", "r1");
    lease(f, "r1", "b");
    expect(f, "!a:r1:b");
}

static void stopped(Fixture *f, const void *data) {
    domain(f, "a", NULL);
    lease(f, "r1", "a");
    lease(f, "r2", "gone")->confirmed = false;
    expect(f, "-a:r1 -gone:r2");
    /* Made by hand, by another user, or of one of which nothing certain is known. */
    domain(f, "a", NULL);
    domain(f, "b", NULL)->unclear = true;
    lease(f, "r1", "a")->marked = false;
    lease(f, "r2", "a")->own = false;
    lease(f, "r3", "b");
    lease(f, "r4", "other")->marked = false;
    expect(f, "");
}

static void removed(Fixture *f, const void *data) {
    /* Lent by hand, to be attached next: it stays. */
    domain(f, "a", "");
    lease(f, "r1", "a");
    expect(f, "");
    domain(f, "a", "r1");
    lease(f, "r1", "a");
    expect(f, "");
    domain(f, "a", "r1")->unclear = true;
    lease(f, "r1", "a");
    expect(f, "");
    domain(f, "a", "");
    lease(f, "r1", "a");
    expect(f, "-a:r1");
    /* The next start knows nothing of the last. */
    domain(f, "a", NULL);
    expect(f, "");
    domain(f, "a", "");
    lease(f, "r1", "a");
    expect(f, "");
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add("/domain-leases/at-rest", Fixture, NULL, set_up, at_rest, tear_down);
    g_test_add("/domain-leases/lends", Fixture, NULL, set_up, lends, tear_down);
    g_test_add("/domain-leases/conflicts", Fixture, NULL, set_up, conflicts, tear_down);
    g_test_add("/domain-leases/stopped", Fixture, NULL, set_up, stopped, tear_down);
    g_test_add("/domain-leases/removed", Fixture, NULL, set_up, removed, tear_down);
    return g_test_run();
}
