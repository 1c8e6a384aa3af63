/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Tests of daemon/pair-tree: pairs put in and taken out in the orders that trees are bad at, against a sorted array.
 * After each operation the neighbours of a pair are compared, after the first thousands of each order all pairs and the
 * tree's own invariants. PMEMD_TEST_SEED=N repeats a random run; PMEMD_TEST_PAIR_ROUNDS (1) multiplies the operations.
 */
#include "daemon/pair-tree.h"

#include "tests/lib/test-budget.h"

#include <string.h>

#define PAIRS_MAX 20000u
#define CHECKED_FIRST 3000u /* operations after each of which everything is compared */
#define CHECKED_EVERY 997u  /* of the later ones */

/* The tree and what must be in it. */
typedef struct {
    PairTree *tree;
    Pair *pairs; /* sorted */
    size_t n;
    uint64_t random;
    unsigned operations;
} Twin;

static uint64_t random_next(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t random_below(Twin *twin, uint64_t n) {
    return random_next(&twin->random) % n;
}

static uint64_t test_seed(void) {
    const char *text = g_getenv("PMEMD_TEST_SEED");
    uint64_t seed = text ? g_ascii_strtoull(text, NULL, 0) : (uint64_t) g_get_real_time();

    g_test_message("PMEMD_TEST_SEED=%" G_GINT64_MODIFIER "u", seed);
    return seed;
}

static unsigned rounds(unsigned n) {
    const char *text = g_getenv("PMEMD_TEST_PAIR_ROUNDS");
    guint64 times = 1;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, 100000, &times, NULL))
        g_error("PMEMD_TEST_PAIR_ROUNDS=%s: must be a number from 1 to 100000", text);
    return test_rounds(n * (unsigned) times);
}

/* ---- the model ---- */

static bool is_below(Pair pair, uint64_t a, uint64_t b) {
    return pair.a < a || (pair.a == a && pair.b < b);
}

/* The index of the first pair that is not below (a, b). */
static size_t model_seek(const Twin *twin, uint64_t a, uint64_t b) {
    size_t low = 0, high = twin->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (is_below(twin->pairs[middle], a, b))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void assert_same(Pair got, Pair wanted) {
    g_assert_cmphex(got.a, ==, wanted.a);
    g_assert_cmphex(got.b, ==, wanted.b);
    g_assert_true(got.value == wanted.value);
}

/* Looks (a, b) up in both, with its neighbours. */
static void compare_at(const Twin *twin, uint64_t a, uint64_t b) {
    size_t at = model_seek(twin, a, b);
    PairPlace place;
    Pair pair;

    pair_tree_seek(twin->tree, a, b, &place);
    g_assert_cmpint(pair_place_before(&place, &pair), ==, at > 0);
    if (at > 0)
        assert_same(pair, twin->pairs[at - 1]);
    g_assert_cmpint(pair_place_get(&place, &pair), ==, at < twin->n);
    if (at == twin->n)
        return;
    assert_same(pair, twin->pairs[at]);
    pair_place_step(&place);
    g_assert_true(pair_place_before(&place, &pair));
    assert_same(pair, twin->pairs[at]);
    g_assert_cmpint(pair_place_get(&place, &pair), ==, at + 1 < twin->n);
    if (at + 1 < twin->n)
        assert_same(pair, twin->pairs[at + 1]);
}

static void compare_all(const Twin *twin) {
    PairPlace place;
    size_t n = 0;

    pair_tree_check(twin->tree);
    g_assert_cmpuint(pair_tree_count(twin->tree), ==, twin->n);
    pair_tree_seek(twin->tree, 0, 0, &place);
    for (Pair pair; pair_place_get(&place, &pair); pair_place_step(&place))
        assert_same(pair, twin->pairs[n++]);
    g_assert_cmpuint(n, ==, twin->n);
}

static Twin *twin_new(uint64_t seed) {
    Twin *twin = g_new0(Twin, 1);

    twin->tree = pair_tree_new();
    twin->pairs = g_new(Pair, PAIRS_MAX);
    twin->random = seed;
    return twin;
}

static void twin_free(Twin *twin) {
    compare_all(twin);
    pair_tree_free(twin->tree);
    g_free(twin->pairs);
    g_free(twin);
}

static bool twin_has(const Twin *twin, uint64_t a, uint64_t b) {
    size_t at = model_seek(twin, a, b);

    return at < twin->n && twin->pairs[at].a == a && twin->pairs[at].b == b;
}

/* Takes the pair out if it is there, else puts it in. */
static void toggle(Twin *twin, uint64_t a, uint64_t b) {
    size_t at = model_seek(twin, a, b);
    PairPlace place;

    pair_tree_seek(twin->tree, a, b, &place);
    if (twin_has(twin, a, b)) {
        pair_tree_remove(twin->tree, &place);
        twin->n--;
        memmove(twin->pairs + at, twin->pairs + at + 1, (twin->n - at) * sizeof *twin->pairs);
    } else {
        Pair pair = { a, b, GSIZE_TO_POINTER(++twin->operations) };

        g_assert_cmpuint(twin->n, <, PAIRS_MAX);
        pair_tree_insert(twin->tree, &place, pair);
        memmove(twin->pairs + at + 1, twin->pairs + at, (twin->n - at) * sizeof *twin->pairs);
        twin->pairs[at] = pair;
        twin->n++;
    }
    twin->operations++;
    compare_at(twin, a, b);
    if (twin->operations < CHECKED_FIRST || twin->operations % CHECKED_EVERY == 0)
        compare_all(twin);
}

static void put(Twin *twin, uint64_t a, uint64_t b) {
    if (twin->n < PAIRS_MAX && !twin_has(twin, a, b))
        toggle(twin, a, b);
}

static void take_nth(Twin *twin, size_t at) {
    const Pair pair = twin->pairs[at];

    toggle(twin, pair.a, pair.b);
}

/* ---- the orders ---- */

static void in_order(Twin *twin, unsigned n, bool up, bool from_front) {
    for (uint64_t i = 0; i < n; i++)
        put(twin, up ? i : n - i, i % 3);
    while (twin->n > 0)
        take_nth(twin, from_front ? 0 : twin->n - 1);
}

static void order_ascending(Twin *twin) {
    in_order(twin, 9000, true, true);
    in_order(twin, 9000, true, false);
}

static void order_descending(Twin *twin) {
    in_order(twin, 9000, false, true);
    in_order(twin, 9000, false, false);
}

/* In at the top, out at the bottom, as in a queue; and the other way round. */
static void order_queue(Twin *twin) {
    for (uint64_t i = 0; i < 12000; i++) {
        put(twin, UINT64_C(1) << 40 | i, 0);
        if (twin->n > 300)
            take_nth(twin, 0);
    }
    for (uint64_t i = 0; i < 12000; i++) {
        put(twin, (UINT64_C(1) << 40) - i, 0);
        if (twin->n > 300)
            take_nth(twin, twin->n - 1);
    }
}

/* Ascending below one that was there before, and between such: what leaves full nodes behind. */
static void order_runs(Twin *twin) {
    for (unsigned run = 0; run < 120; run++) {
        uint64_t base = random_below(twin, 1000) << 20, n = 1 + random_below(twin, 200);

        for (uint64_t i = 0; i < n; i++)
            put(twin, base + i, 0);
        if (random_below(twin, 3) > 0)
            continue;
        size_t at = model_seek(twin, random_below(twin, 1000) << 20, 0);
        for (uint64_t i = random_below(twin, 300); i > 0 && at < twin->n; i--)
            take_nth(twin, at);
    }
}

/* Around every 16th, 32nd and 64th pair, where nodes begin and end, out and in. */
static void order_borders(Twin *twin) {
    for (uint64_t i = 0; i < 64 * 70; i++)
        put(twin, 4 * i, 0);
    for (unsigned i = 0; i < 12000; i++) {
        uint64_t node = 64 * random_below(twin, 70) + 16 * random_below(twin, 4);

        toggle(twin, 4 * node + random_below(twin, 17) - 8, 0);
    }
}

/* Few starts, many ends: the order is by the second number almost alone. */
static void order_equal(Twin *twin) {
    for (unsigned i = 0; i < 14000; i++)
        toggle(twin, random_below(twin, 3), random_below(twin, 6000));
}

/* What begins at one place is taken out, and something shorter or longer put there instead. */
static void order_resized(Twin *twin) {
    for (uint64_t i = 0; i < 2000; i++)
        put(twin, 16 * i, 16 * i + 8);
    for (unsigned i = 0; i < 7000; i++) {
        size_t at = random_below(twin, 2) ? random_below(twin, twin->n) : random_below(twin, twin->n) / 32 * 32;
        const Pair pair = twin->pairs[at];

        take_nth(twin, at);
        put(twin, pair.a, pair.a + 1 + random_below(twin, 15));
        /* The place of a pair that is not there, below and above all that begin here. */
        compare_at(twin, pair.a, 0);
        compare_at(twin, pair.a, UINT64_MAX);
    }
}

/* Anything at all, growing and shrinking in turn, down to nothing now and then. */
static void order_random(Twin *twin) {
    static const uint64_t ends[] = { 0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63 };
    bool growing = true;

    for (unsigned i = 0; i < 30000; i++) {
        if (random_below(twin, 3000) == 0 || twin->n >= PAIRS_MAX - 1)
            growing = !growing;
        if (twin->n > 0 && random_below(twin, 8) < (growing ? 2u : 6u))
            take_nth(twin, random_below(twin, twin->n));
        else if (random_below(twin, 50) == 0)
            toggle(twin, ends[random_below(twin, G_N_ELEMENTS(ends))], ends[random_below(twin, G_N_ELEMENTS(ends))]);
        else
            put(twin, random_below(twin, 1u << 15), random_below(twin, 4));
    }
}

/* A whole range of neighbours out, from either side: nodes are joined one after the other, on all levels. */
static void order_holes(Twin *twin) {
    for (uint64_t i = 0; i < 12000; i++)
        put(twin, i * 7919 % 12007, 0);
    while (twin->n > 0) {
        size_t at = random_below(twin, twin->n), n = 1 + random_below(twin, 700);
        bool down = random_below(twin, 2);

        for (; n > 0 && at < twin->n; n--) {
            take_nth(twin, at);
            if (down && at-- == 0)
                break;
        }
    }
}

static void test_order(gconstpointer data) {
    void (*const order)(Twin *) = (void (*)(Twin *)) GPOINTER_TO_SIZE(data);
    uint64_t seed = test_seed();

    for (unsigned i = rounds(1); i > 0; i--) {
        Twin *twin = twin_new(seed++);

        order(twin);
        g_test_message("%u operations agree with the sorted array", twin->operations);
        twin_free(twin);
    }
}

static void test_empty(void) {
    g_autoptr(PairTree) tree = pair_tree_new();
    PairPlace place;
    Pair pair;

    pair_tree_check(tree);
    pair_tree_seek(tree, 0, 0, &place);
    g_assert_false(pair_place_get(&place, &pair));
    g_assert_false(pair_place_before(&place, &pair));
    g_assert_cmpuint(pair_tree_count(tree), ==, 0);
    pair_tree_free(NULL);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*order)(Twin *);
    } orders[] = {
        { "ascending", order_ascending }, { "descending", order_descending }, { "queue", order_queue },
        { "runs", order_runs },           { "borders", order_borders },       { "equal", order_equal },
        { "resized", order_resized },     { "random", order_random },         { "holes", order_holes },
    };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pair-tree/empty", test_empty);
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autofree char *path = g_strconcat("/pair-tree/", orders[i].name, NULL);

        g_test_add_data_func(path, GSIZE_TO_POINTER((gsize) orders[i].order), test_order);
    }
    return g_test_run();
}
