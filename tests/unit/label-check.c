/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Label areas of sets of 1, 2 and 4 DIMMs, a creation or a deletion cut off after each single write in each order of
 * the DIMMs: all are brought back, strangers' labels stay as they are, and the repair may itself be cut off anywhere.
 */
#include "daemon/label-check.h"
#include "proto/error.h"
#include "tests/lib/label-kernel.h"

#define OURS "pmemd:data:11223344:55667788"

static const uint8_t foreign[16] = "foreign-name-sp", victim[16] = "victim-of-power", other[16] = "other-one-ofour";

static LabelCheck *look(const LabelKernel *k, bool force) {
    LabelCheck *check = label_check_new();
    guint dimms[KERNEL_DIMMS_MAX];

    for (unsigned d = 0; d < k->n_dimms; d++) {
        g_autofree char *name = g_strdup_printf("nmem%u", d);

        dimms[d] = label_check_add_dimm(check, name, g_memdup2(k->area[d], KERNEL_AREA), KERNEL_AREA);
    }
    label_check_add_set(check, "region0", KERNEL_COOKIE, dimms, k->n_dimms);
    label_check_run(check, force);
    return check;
}

/* Only so many writes, and so many bytes of one more. */
static void apply(LabelKernel *k, const GPtrArray *plan, guint n, size_t part) {
    for (guint i = 0; i < plan->len; i++) {
        const LabelWrite *write = plan->pdata[i];

        g_assert_cmpuint(write->len, ==, 256);
        if (i <= n)
            memcpy(k->area[write->dimm] + write->offset, write->bytes, i < n ? write->len : part);
    }
}

static void check_whole(const LabelKernel *k) {
    g_autoptr(LabelCheck) check = look(k, false);
    g_autoptr(GPtrArray) plan = label_check_plan(check);

    g_assert_cmpuint(check->findings->len, ==, 0);
    g_assert_cmpuint(plan->len, ==, 0);
}

static unsigned count_dimms(LabelKernel *k, const uint8_t *uuid) {
    unsigned n = 0;

    for (unsigned d = 0; d < k->n_dimms; d++) {
        uint64_t slots = lk_slots_of(k, d, uuid);

        g_assert_cmpuint(slots & (slots - 1), ==, 0);
        n += slots != 0;
    }
    return n;
}

/* All of the area but the index blocks, and of these what is in use but for the victim's. */
static void check_untouched(LabelKernel *now, LabelKernel *before) {
    for (unsigned d = 0; d < now->n_dimms; d++) {
        g_assert_cmpmem(now->area[d] + 512, KERNEL_AREA - 512, before->area[d] + 512, KERNEL_AREA - 512);
        g_assert_cmpuint(lk_slots_of(now, d, foreign), ==, lk_slots_of(before, d, foreign));
        g_assert_cmpuint(lk_slots_of(now, d, other), ==, lk_slots_of(before, d, other));
        g_assert_cmpuint(lk_slots_of(now, d, foreign), !=, 0);
    }
}

/* The state is repaired in one go, and with the repair cut off at each place. Returns how many DIMMs have the victim. */
static unsigned repair(const LabelKernel *cut) {
    LabelKernel done = *cut, before = *cut;
    g_autoptr(LabelCheck) check = look(cut, false);
    g_autoptr(GPtrArray) plan = label_check_plan(check);

    g_assert_cmpuint(label_check_count(check, LABEL_LEAVE), ==, 0);
    g_assert_cmpuint(plan->len > 0, ==, check->findings->len > 0);
    apply(&done, plan, plan->len, 0);
    check_whole(&done);
    check_untouched(&done, &before);

    unsigned n = count_dimms(&done, victim);
    g_assert_true(n == 0 || n == done.n_dimms);
    for (guint i = 0; i < plan->len; i++)
        for (size_t part = 0; part <= 256; part += 64) {
            LabelKernel again = *cut;

            apply(&again, plan, i, part);
            g_autoptr(LabelCheck) second = look(&again, false);
            g_autoptr(GPtrArray) rest = label_check_plan(second);
            apply(&again, rest, rest->len, 0);
            check_whole(&again);
            check_untouched(&again, &before);
            g_assert_cmpuint(count_dimms(&again, victim), ==, n);
        }
    return n;
}

static void start_set(LabelKernel *k, unsigned ways, unsigned minor) {
    lk_init(k, ways, minor);
    lk_create(k, foreign, "database", 0, 64);
    lk_create(k, other, OURS, 64, 64);
    /* Slots are used again, sequence numbers and blocks are at another place than at first. */
    lk_create(k, (const uint8_t *) "passing-throughX", OURS, 128, 64);
    lk_destroy(k, (const uint8_t *) "passing-throughX");
}

/* The n-th of all orders. */
static void set_order(LabelKernel *k, unsigned n) {
    bool taken[KERNEL_DIMMS_MAX] = { false };

    for (unsigned i = 0; i < k->n_dimms; i++) {
        unsigned skip = n % (k->n_dimms - i);

        n /= k->n_dimms - i;
        for (unsigned d = 0; d < k->n_dimms; d++)
            if (!taken[d] && skip-- == 0) {
                k->order[i] = d;
                taken[d] = true;
                break;
            }
    }
}

static void test_interrupted(const void *data) {
    unsigned ways = GPOINTER_TO_UINT(data) & 0xf, minor = GPOINTER_TO_UINT(data) >> 4;
    unsigned orders = ways == 4 ? 24 : ways, states = 0, dropped = 0, finished = 0;

    for (unsigned order = 0; order < orders; order++)
        for (int deleting = 0; deleting < 2; deleting++) {
            bool ended = false;

            for (unsigned n = 0; !ended; n++, states++) {
                LabelKernel k;

                start_set(&k, ways, minor);
                set_order(&k, order);
                if (deleting)
                    lk_create(&k, victim, OURS, 128, 64);
                k.writes_left = n;
                ended = deleting ? lk_destroy(&k, victim) : lk_create(&k, victim, OURS, 128, 64);
                unsigned before = count_dimms(&k, victim), after = repair(&k);
                /* What is whole, or gone, stays so; a creation is undone, a deletion goes back to its start. */
                if (before == 0 || before == ways)
                    g_assert_cmpuint(after, ==, before);
                else
                    g_assert_cmpuint(after, ==, deleting ? ways : 0);
                dropped += before > after;
                finished += before < after;
            }
        }
    g_test_message("%u states of %u DIMMs: %u dropped, %u finished", states, ways, dropped, finished);
    g_assert_cmpuint(states, ==, orders * (4 * ways + 1 + ways + 1));
    g_assert_cmpuint(dropped, ==, orders * 2 * (ways - 1));
    g_assert_cmpuint(finished, ==, orders * (ways - 1));
}

/* As if the last index block written was written in part. */
static void test_torn_index(void) {
    for (size_t part = 1; part < 256; part++) {
        LabelKernel k, torn;

        start_set(&k, 2, 2);
        torn = k;
        lk_create(&k, victim, OURS, 128, 64);
        unsigned which = 1 - lk_current(&torn, 1);
        memcpy(torn.area[1] + which * 256, k.area[1] + (1 - which) * 256, part);
        LabelArea area;
        g_assert_true(label_area_open(torn.area[1], KERNEL_AREA, &area, NULL));
        g_assert_cmpuint(lk_slots_of(&torn, 1, foreign), !=, 0);
        check_whole(&torn);
    }
}

static const LabelFinding *only_finding(const LabelCheck *check) {
    g_assert_cmpuint(check->findings->len, ==, 1);
    return check->findings->pdata[0];
}

static void check_left(const LabelKernel *k, bool force, const char *says) {
    g_autoptr(LabelCheck) check = look(k, force);
    g_autoptr(GPtrArray) plan = label_check_plan(check);
    const LabelFinding *f = only_finding(check);

    g_assert_cmpint(f->remedy, ==, LABEL_LEAVE);
    g_assert_nonnull(strstr(f->why, says));
    g_assert_cmpuint(plan->len, ==, 0);
}

static void test_foreign(void) {
    LabelKernel k;

    lk_init(&k, 2, 2);
    k.writes_left = 2;
    lk_create(&k, victim, "database", 0, 64);
    check_left(&k, false, "not pmemd's");
    check_left(&k, true, "not pmemd's");
}

/* One DIMM lost its labels: nothing is dropped unasked. */
static void test_lost_labels(void) {
    LabelKernel k, lost;

    start_set(&k, 2, 2);
    lost = k;
    lost.writes_left = G_MAXUINT;
    lk_next_index(&lost, 1, lk_slots_of(&lost, 1, foreign));
    memset(lk_slot(&lost, 1, 0), 0, 256 * lk_slots(&lost));
    lk_init(&k, 2, 2);
    memcpy(lost.area[1], k.area[1], KERNEL_AREA);

    g_autoptr(LabelCheck) check = look(&lost, false);
    g_assert_cmpuint(check->findings->len, ==, 2);
    g_assert_cmpuint(label_check_count(check, LABEL_LEAVE), ==, 2);
    g_autoptr(LabelCheck) forced = look(&lost, true);
    g_assert_cmpuint(label_check_count(forced, LABEL_LEAVE), ==, 1);
    g_assert_cmpuint(label_check_count(forced, LABEL_DROP), ==, 1);
}

static void test_damaged(void) {
    LabelKernel k;

    start_set(&k, 2, 2);
    unsigned slot = (unsigned) __builtin_ctzll(lk_slots_of(&k, 1, other));
    lk_slot(&k, 1, slot)[200] ^= 1;
    check_left(&k, false, "doubled or damaged on nmem1");
    g_autoptr(LabelCheck) check = look(&k, true);
    g_assert_cmpint(only_finding(check)->remedy, ==, LABEL_DROP);
    g_assert_cmpuint(((const LabelDimm *) check->dimms->pdata[1])->bad, ==, 1);
}

/* A whole label more on the first DIMM, in its last slot. */
static void add_label(LabelKernel *k, uint8_t label[static 256]) {
    unsigned slot = lk_slots(k) - 1;

    lk_put(label + 120, slot, 4);
    lk_put(label + 248, 0, 8);
    lk_put(label + 248, lk_sum(label, 256), 8);
    memcpy(lk_slot(k, 0, slot), label, 256);
    lk_next_index(k, 0, lk_used_mask(k, 0) | UINT64_C(1) << slot);
}

static void test_doubled(void) {
    LabelKernel k;
    uint8_t label[256];

    start_set(&k, 2, 2);
    unsigned slot = (unsigned) __builtin_ctzll(lk_slots_of(&k, 0, other));
    memcpy(label, lk_slot(&k, 0, slot), 256);
    add_label(&k, label);
    check_left(&k, false, "doubled");
}

/* A stranger's label with a uuid of ours, at a position that is not its DIMM's: force does not free it, either. */
static void test_stranger_with_our_uuid(void) {
    LabelKernel k;
    uint8_t label[256];

    start_set(&k, 2, 2);
    unsigned slot = (unsigned) __builtin_ctzll(lk_slots_of(&k, 0, foreign));
    memcpy(label, lk_slot(&k, 0, slot), 256);
    memcpy(label, other, 16);
    lk_put(label + 86, 1, 2); /* of the other DIMM */
    add_label(&k, label);
    check_left(&k, false, "not pmemd's");
    check_left(&k, true, "not pmemd's");
}

/* The freed slot was used again, or its bytes belong to another namespace now. */
static void test_freed_is_taken(void) {
    LabelKernel k;

    start_set(&k, 2, 2);
    lk_create(&k, victim, OURS, 128, 64);
    k.writes_left = 1;
    lk_destroy(&k, victim);
    k.writes_left = G_MAXUINT;
    /* Another region over this DIMM alone takes the same bytes. */
    k.n_dimms = 1;
    lk_create(&k, (const uint8_t *) "a-new-one-there", "somebody", 160, 64);
    k.n_dimms = 2;
    g_autoptr(LabelCheck) check = look(&k, false);
    g_assert_cmpuint(label_check_count(check, LABEL_FINISH), ==, 0);
}

/* The freed slot is as it was, but its bytes are another's now, wherever that claims to end. */
static void check_bytes_are_taken(uint64_t start, uint64_t size, bool finished) {
    LabelKernel k;
    uint8_t label[256];

    start_set(&k, 2, 2);
    lk_create(&k, victim, OURS, 128, 64);
    k.writes_left = 1;
    lk_destroy(&k, victim);
    k.writes_left = G_MAXUINT;
    unsigned like = (unsigned) __builtin_ctzll(lk_slots_of(&k, 0, foreign)), slot = lk_slots(&k) - 1;
    memcpy(label, lk_slot(&k, 0, like), 256);
    memcpy(label, "a-new-one-there", 16);
    lk_put(label + 104, start, 8);
    lk_put(label + 112, size, 8);
    lk_put(label + 120, slot, 4);
    lk_put(label + 248, 0, 8);
    lk_put(label + 248, lk_sum(label, 256), 8);
    memcpy(lk_slot(&k, 0, slot), label, 256);
    lk_next_index(&k, 0, lk_used_mask(&k, 0) | UINT64_C(1) << slot);
    g_autoptr(LabelCheck) check = look(&k, false);
    g_assert_cmpuint(label_check_count(check, LABEL_FINISH), ==, finished);
}

static void test_bytes_are_taken(void) {
    check_bytes_are_taken(192, 64, true);
    check_bytes_are_taken(160, 64, false);
    check_bytes_are_taken(160, UINT64_MAX - 150, false); /* its end is below its start */
}

static void test_unreadable(void) {
    LabelKernel k;

    start_set(&k, 2, 2);
    memset(k.area[0], 0, 512);
    g_autoptr(LabelCheck) check = look(&k, true);
    g_autoptr(GPtrArray) plan = label_check_plan(check);
    const LabelDimm *dimm = check->dimms->pdata[0];

    g_assert_error(dimm->fault, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    g_assert_cmpuint(label_check_count(check, LABEL_LEAVE), ==, 2);
    g_assert_cmpuint(plan->len, ==, 0);
}

static void test_images(void) {
    LabelKernel k;

    start_set(&k, 2, 2);
    lk_create(&k, victim, OURS, 128, 64);
    k.writes_left = 1;
    lk_destroy(&k, victim);
    for (unsigned given = 1; given <= 2; given++) {
        g_autoptr(LabelCheck) check = label_check_new();

        for (unsigned d = 2 - given; d < 2; d++)
            label_check_add_dimm(check, "image", g_memdup2(k.area[d], KERNEL_AREA), KERNEL_AREA);
        label_check_infer_sets(check);
        label_check_run(check, false);
        g_assert_cmpuint(check->sets->len, ==, 1);
        g_assert_cmpuint(label_check_count(check, LABEL_FINISH), ==, given == 2);
        g_assert_cmpuint(label_check_count(check, LABEL_LEAVE), ==, given == 1 ? 3 : 0);
    }
}

/* The rule of which block is newer, and what an index must not say. */
static void test_index(void) {
    static const struct {
        unsigned at, len;
        uint64_t value;
    } lies[] = { { 0, 1, 'X' },       { 16 + 3, 1, 2 },      { 20, 4, 4 }, { 24, 8, 256 },
                 { 32, 8, 512 },      { 32, 8, 71 },         { 40, 8, 0 }, { 48, 8, 0 },
                 { 56, 4, 1u << 20 }, { 56, 4, UINT32_MAX }, { 60, 2, 2 } };
    LabelKernel k;
    LabelArea area;

    for (unsigned a = 1; a < 4; a++)
        for (unsigned b = 1; b < 4; b++) {
            lk_init(&k, 1, 2);
            lk_write_index(&k, 0, 1, 0, a);
            lk_write_index(&k, 0, 2, 1, b);
            g_assert_true(label_area_open(k.area[0], KERNEL_AREA, &area, NULL));
            g_assert_cmpuint(area.current, ==, lk_current(&k, 0));
            g_assert_cmpuint(area.sequence, ==, area.current ? b : a);
            g_assert_cmpuint(label_area_in_use(&area, area.current), ==, 1);
            g_assert_cmpuint(label_area_in_use(&area, 1 - area.current), ==, 0);
        }
    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autoptr(GError) error = NULL;

        lk_init(&k, 1, 2);
        memset(k.area[0] + 256, 0, 256);
        lk_put(k.area[0] + lies[i].at, lies[i].value, lies[i].len);
        lk_put(k.area[0] + 64, 0, 8);
        lk_put(k.area[0] + 64, lk_sum(k.area[0], 256), 8);
        g_assert_false(label_area_open(k.area[0], KERNEL_AREA, &area, &error));
        g_assert_error(error, PMEMD_ERROR, PMEMD_ERROR_CORRUPT);
    }
    for (size_t size = 0; size < KERNEL_AREA; size += 64) {
        g_autofree uint8_t *exact = g_memdup2(k.area[0], MAX(size, 1));

        g_assert_false(label_area_open(exact, size, &area, NULL));
        g_assert_cmpuint(label_area_head(size), <=, size);
    }
    g_assert_cmpuint(label_area_head(KERNEL_AREA), ==, 512);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    for (unsigned minor = 1; minor <= 2; minor++)
        for (unsigned ways = 1; ways <= 4; ways *= 2) {
            g_autofree char *path = g_strdup_printf("/label-check/interrupted/1.%u/%u", minor, ways);

            g_test_add_data_func(path, GUINT_TO_POINTER(minor << 4 | ways), test_interrupted);
        }
    g_test_add_func("/label-check/torn-index", test_torn_index);
    g_test_add_func("/label-check/foreign", test_foreign);
    g_test_add_func("/label-check/lost-labels", test_lost_labels);
    g_test_add_func("/label-check/damaged", test_damaged);
    g_test_add_func("/label-check/doubled", test_doubled);
    g_test_add_func("/label-check/stranger-with-our-uuid", test_stranger_with_our_uuid);
    g_test_add_func("/label-check/freed-is-taken", test_freed_is_taken);
    g_test_add_func("/label-check/bytes-are-taken", test_bytes_are_taken);
    g_test_add_func("/label-check/unreadable", test_unreadable);
    g_test_add_func("/label-check/images", test_images);
    g_test_add_func("/label-check/index", test_index);
    return g_test_run();
}
