/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Questions that hang, here until a gate opens: who asks goes on, others are answered meanwhile, and what is left over is
 * freed once, when it ends.
 */
#include "daemon/patience.h"

#include "daemon/account.h"
#include "daemon/caller.h"
#include "daemon/quota.h"
#include "proto/error.h"

typedef struct {
    GMutex lock;
    GCond changed;
    bool open;
    guint began, freed;
} Gate;

typedef struct {
    Gate *gate; /* NULL: answers at once */
    bool ran;
} Ask;

static void ask_run(void *data) {
    Ask *ask = data;

    if (ask->gate) {
        g_mutex_lock(&ask->gate->lock);
        ask->gate->began++;
        g_cond_broadcast(&ask->gate->changed);
        while (!ask->gate->open)
            g_cond_wait(&ask->gate->changed, &ask->gate->lock);
        g_mutex_unlock(&ask->gate->lock);
    }
    ask->ran = true;
}

static void ask_free(void *data) {
    Ask *ask = data;
    Gate *gate = ask->gate;

    if (gate) {
        g_mutex_lock(&gate->lock);
        gate->freed++;
        g_cond_broadcast(&gate->changed);
        g_mutex_unlock(&gate->lock);
    }
    g_free(ask);
}

static Ask *ask_new(Gate *gate) {
    Ask *ask = g_new0(Ask, 1);

    ask->gate = gate;
    return ask;
}

/* It was answered: whoever runs the tests may be slow, so it has time, and what hangs has little. */
static void check_answered(Patience *patience) {
    Ask *ask = ask_new(NULL);

    if (patience)
        patience_set_waits(patience, G_TIME_SPAN_MINUTE, G_TIME_SPAN_MINUTE);
    g_assert_true(patience_run(patience, ask_run, ask, ask_free));
    g_assert_true(ask->ran);
    ask_free(ask);
    if (patience)
        patience_set_waits(patience, PATIENCE_NEXT, PATIENCE_NEXT);
}

static void wait_freed(Gate *gate, guint n) {
    g_mutex_lock(&gate->lock);
    while (gate->freed < n)
        g_cond_wait(&gate->changed, &gate->lock);
    g_mutex_unlock(&gate->lock);
}

static void open_gate(Gate *gate) {
    g_mutex_lock(&gate->lock);
    gate->open = true;
    g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}

static void test_answered(void) {
    g_autoptr(Patience) patience = patience_new();

    for (int i = 0; i < 100; i++)
        check_answered(patience);
    check_answered(NULL);
}

static void test_hanging(void) {
    g_autoptr(Patience) patience = patience_new();
    Gate gate = { 0 };

    g_mutex_init(&gate.lock);
    g_cond_init(&gate.changed);
    for (guint i = 0; i < PATIENCE_HANGING; i++) {
        /* Not the first alone: those of a service that works are answered between those that hang. */
        check_answered(patience);
        g_assert_false(patience_run(patience, ask_run, ask_new(&gate), ask_free));
        g_assert_cmpuint(gate.freed, ==, 0);
    }
    /* So many, and no more: nothing is begun. */
    g_assert_false(patience_run(patience, ask_run, ask_new(&gate), ask_free));
    g_assert_cmpuint(gate.freed, ==, 1);
    g_mutex_lock(&gate.lock);
    while (gate.began < PATIENCE_HANGING) /* a thread that was asked for may not have run yet */
        g_cond_wait(&gate.changed, &gate.lock);
    g_assert_cmpuint(gate.began, ==, PATIENCE_HANGING);
    g_mutex_unlock(&gate.lock);

    /* Who asks for names meanwhile: root is root, nobody else is taken for one without name or limit. */
    char user[33] = "untouched";
    g_autoptr(GError) error = NULL;
    g_autoptr(QuotaTable) table = quota_table_new();
    QuotaLimit limit;
    g_assert_false(caller_user_name(patience, 65534, user, &error));
    g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_TIMED_OUT);
    g_assert_cmpstr(user, ==, "untouched");
    g_assert_true(caller_user_name(patience, 0, user, NULL));
    g_assert_cmpstr(user, ==, "root");
    quota_table_find(table, patience, 65534, &limit);
    g_assert_false(limit.limited); /* nothing was to be asked */
    quota_table_set(table, QUOTA_GROUP, "nobody-is-in-it", 4096);
    quota_table_find(table, patience, 65534, &limit);
    g_assert_true(limit.limited);
    g_assert_cmpuint(limit.bytes, ==, 0);
    g_assert_cmpstr(limit.source, ==, QUOTA_NOT_KNOWN);

    open_gate(&gate);
    wait_freed(&gate, PATIENCE_HANGING + 1);
    check_answered(patience);
    patience_set_waits(patience, G_TIME_SPAN_MINUTE, G_TIME_SPAN_MINUTE);
    quota_table_find(table, patience, 65534, &limit);
    g_assert_false(limit.limited);
    g_mutex_clear(&gate.lock);
    g_cond_clear(&gate.changed);
}

/* Who asked is gone, with all of its patience, before the answer comes. */
static void test_outlived(void) {
    Patience *patience = patience_new();
    Gate gate = { 0 };

    g_mutex_init(&gate.lock);
    g_cond_init(&gate.changed);
    g_assert_false(patience_run(patience, ask_run, ask_new(&gate), ask_free));
    patience_unref(patience);
    open_gate(&gate);
    wait_freed(&gate, 1);
    g_mutex_clear(&gate.lock);
    g_cond_clear(&gate.changed);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/patience/answered", test_answered);
    g_test_add_func("/patience/hanging", test_hanging);
    g_test_add_func("/patience/outlived", test_outlived);
    return g_test_run();
}
