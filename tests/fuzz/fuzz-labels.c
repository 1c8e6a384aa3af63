/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: what a namespace label, or the first bytes of memory that has none, can tell the backend. What it
 * reads itself is the tag in a label's alt_name, the superblock on label-less memory, the places of the namespaces, and
 * the label areas of interleave sets.
 *
 * Checked, by the first byte: a tag that is taken is the very one that would be written; a superblock that is taken is
 * written again as the same bytes; a description of the file backend, which stands for a label there, is read again as
 * it is written; the fillers chosen for a place make a kernel, which takes the lowest hole that is
 * large enough, put the next namespace exactly there, whatever the labels say is in use; the repair of a set's label areas,
 * whatever they hold, leaves valid areas, changes no slot and no bit of a label that is not tagged as ours, and ends.
 */
#include "daemon/backend-ndctl-placement.h"
#include "daemon/backend.h"
#include "daemon/crc32c.h"
#include "daemon/file-record.h"
#include "daemon/journal-bytes.h"
#include "daemon/journal-format.h"
#include "daemon/label-check.h"
#include "proto/error.h"
#include "tests/fuzz/fuzz-input.h"
#include "tests/lib/label-kernel.h"

#define USED_MAX 16

static sd_id128_t uuid_with(uint32_t number) {
    sd_id128_t id = { .bytes = { (uint8_t) (number >> 24), (uint8_t) (number >> 16), (uint8_t) (number >> 8),
                                 (uint8_t) number, 1 } };

    return id;
}

static void fuzz_tag(Input *in) {
    g_autofree char *tag = g_strndup((const char *) in->at, (size_t) (in->end - in->at));
    uint32_t pool = 0x5a5a5a5a, id = 0xa5a5a5a5;
    char again[BACKEND_TAG_MAX];
    BackendRole role = backend_tag_parse(tag, &pool, &id);

    g_assert_true(role == backend_tag_parse(tag, NULL, NULL));
    if (role == BACKEND_ROLE_NONE) {
        g_assert_true(pool == 0x5a5a5a5a && id == 0xa5a5a5a5);
        return;
    }
    g_assert_cmpstr(backend_tag_format(role, uuid_with(pool), uuid_with(id), again), ==, tag);
}

static void check_geometry(const JfSuperblock *sb) {
    const JfGeometry *geo = &sb->geo;

    g_assert_cmpuint(geo->size, ==, frame_range_frames(sb->range) * PMEMD_FRAME_SIZE);
    g_assert_cmpuint(sb->range.end, <=, PMEMD_FRAME_LIMIT);
    for (int i = 0; i < 2; i++)
        g_assert_true(geo->area_off[i] >= geo->unit && geo->area_off[i] <= geo->size &&
                      geo->area_len <= geo->size - geo->area_off[i]);
    g_assert_true(geo->mgmt_off <= geo->size && geo->mgmt_len <= geo->size - geo->mgmt_off);
}

static void fuzz_superblock(Input *in, bool fix) {
    uint8_t block[JF_SUPERBLOCK_SIZE] = { 0 }, again[JF_SUPERBLOCK_SIZE];
    size_t len = MIN((size_t) (in->end - in->at), sizeof block);
    JfSuperblock sb;

    memcpy(block, in->at, len);
    if (fix)
        put_le32(block + JF_SUPERBLOCK_SIZE - 4, crc32c(0, block, JF_SUPERBLOCK_SIZE - 4));

    JfVerdict verdict = jf_superblock_decode(block, sizeof block, &sb);
    g_autofree uint8_t *exact = g_memdup2(block, MAX(len, 1)); /* a read past its end is seen */
    if (len < JF_SUPERBLOCK_SIZE)
        g_assert_true(jf_superblock_decode(exact, len, &(JfSuperblock){ 0 }) != JF_OK);
    if (verdict != JF_OK && verdict != JF_READ_ONLY)
        return;
    check_geometry(&sb);
    /* A higher minor may use what is unused today. */
    if (sb.minor <= JF_MINOR) {
        jf_superblock_encode(&sb, again);
        g_assert_cmpmem(again, sizeof again, block, sizeof block);
    }
}

/* What stands for a label on the file backend. */
static void fuzz_record(Input *in) {
    g_autofree char *text = g_strndup((const char *) in->at, (size_t) (in->end - in->at));
    g_autoptr(GError) error = NULL;
    g_autoptr(FileRecord) record = file_record_parse(text, "a.dev", &error);

    if (!record) {
        g_assert_true(error->domain == PMEMD_ERROR);
        g_assert_true(g_str_has_prefix(error->message, "a.dev"));
        return;
    }
    g_assert_cmpuint(record->device.start, <, record->device.end);
    g_assert_cmpuint(record->device.end, <=, PMEMD_FRAME_LIMIT);
    g_assert_cmpuint(record->lead, <, frame_range_frames(record->device));

    g_autofree char *written = file_record_format(record);
    g_autoptr(FileRecord) again = file_record_parse(written, "a.dev", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->tag, ==, record->tag);
    g_assert_cmpstr(again->raw, ==, record->raw);
    g_assert_cmpstr(again->mode, ==, record->mode);
    g_assert_cmpstr(again->name, ==, record->name);
    g_assert_true(frame_range_equal(again->device, record->device) && again->lead == record->lead);
}

/* --- placement --- */

typedef struct {
    FrameRange region;
    uint64_t align;
    FrameRange used[2 * USED_MAX + 8];
    size_t n_used;
} Kernel;

/* Tries every aligned start, ascending. */
static bool kernel_allocate(Kernel *k, uint64_t frames, FrameRange *ret_range) {
    for (uint64_t start = k->region.start; start + frames <= k->region.end; start += k->align) {
        FrameRange range = { start, start + frames };
        bool is_free = true;

        for (size_t i = 0; i < k->n_used && is_free; i++)
            is_free = !frame_range_overlaps(range, k->used[i]);
        if (!is_free)
            continue;
        g_assert_cmpuint(k->n_used, <, G_N_ELEMENTS(k->used));
        k->used[k->n_used++] = range;
        *ret_range = range;
        return true;
    }
    return false;
}

static void fuzz_placement(Input *in) {
    static const uint64_t aligns[] = { 1, 512, 1536 };
    Kernel k = { .align = aligns[input_below(in, G_N_ELEMENTS(aligns))] };

    k.region.start = input_number(in, 2) * 512;
    k.region.end = k.region.start + (1 + input_u8(in)) * k.align + (input_rarely(in, 4) ? input_number(in, 1) : 0);
    /* Labels may lie: ranges that overlap, stick out, are no multiples of anything. */
    for (k.n_used = input_below(in, USED_MAX + 1); k.n_used > 0 && input_left(in);) {
        size_t n = k.n_used;

        for (size_t i = 0; i < n; i++) {
            uint64_t start = k.region.start + input_u8(in) * k.align + (input_rarely(in, 4) ? input_u8(in) : 0);

            k.used[i] = (FrameRange){ start, start + 1 + (input_u8(in) & 31) * k.align };
        }
        break;
    }
    FrameRange target = { k.region.start + input_u8(in) * k.align, 0 };
    target.end = target.start + (1 + input_below(in, 16)) * k.align;
    if (input_rarely(in, 8))
        target = (FrameRange){ input_number(in, 8), input_number(in, 8) };

    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) fillers = backend_ndctl_placement_plan(k.region, k.align, k.used, k.n_used, target, &error);
    bool is_free = target.start < target.end && frame_range_contains(k.region, target);
    for (size_t i = 0; i < k.n_used && is_free; i++)
        is_free = !frame_range_overlaps(target, k.used[i]);
    if (!fillers) {
        g_assert_true(error->domain == PMEMD_ERROR);
        g_assert_false(g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_BUSY) && is_free);
        return;
    }
    g_assert_true(is_free);
    g_assert_cmpuint(fillers->len, <=, USED_MAX + 2);
    FrameRange made;
    for (guint i = 0; i < fillers->len; i++) {
        g_assert_true(kernel_allocate(&k, g_array_index(fillers, uint64_t, i), &made));
        g_assert_false(frame_range_overlaps(made, target));
    }
    g_assert_true(kernel_allocate(&k, frame_range_frames(target), &made));
    g_assert_true(frame_range_equal(made, target));
}

/* --- label areas of a set --- */

static void fuzz_sum(LabelKernel *k, unsigned d, unsigned at, unsigned len, unsigned sum_at) {
    lk_put(k->area[d] + at + sum_at, 0, 8);
    lk_put(k->area[d] + at + sum_at, lk_sum(k->area[d] + at, len), 8);
}

/* What Linux would write, cut off somewhere; then bytes of it are changed, some of them under a good checksum. */
static void fuzz_areas(Input *in, LabelKernel *k) {
    static const char *const names[] = { "database", "pmemd:data:11223344:55667788", "pmemd:mgmt:11223344:11223344" };

    lk_init(k, 1 + (unsigned) input_below(in, KERNEL_DIMMS_MAX), 1 + (unsigned) input_below(in, 2));
    for (unsigned steps = (unsigned) input_below(in, 8); steps > 0 && input_left(in); steps--) {
        uint8_t uuid[16] = { 1, (uint8_t) input_below(in, 4) };
        const char *name = names[input_below(in, G_N_ELEMENTS(names))];
        uint64_t start = input_below(in, 4) * 64;

        k->writes_left = input_rarely(in, 3) ? (unsigned) input_below(in, 17) : G_MAXUINT;
        if (input_rarely(in, 3))
            lk_destroy(k, uuid);
        else
            lk_create(k, uuid, name, start, 64);
    }
    while (input_left(in)) {
        unsigned d = (unsigned) input_below(in, k->n_dimms), at = (unsigned) input_number(in, 2) % KERNEL_AREA;
        unsigned len = at < 512 ? 256 : lk_label_size(k), block = at / len * len;

        k->area[d][at] = input_u8(in);
        if (len == 256 && input_rarely(in, 2))
            fuzz_sum(k, d, block, len, at < 512 ? 64 : 248);
    }
}

static LabelCheck *fuzz_look(const LabelKernel *k, bool infer, bool force) {
    LabelCheck *check = label_check_new();
    guint dimms[KERNEL_DIMMS_MAX];

    for (unsigned d = 0; d < k->n_dimms; d++)
        dimms[d] = label_check_add_dimm(check, "nmem", g_memdup2(k->area[d], KERNEL_AREA), KERNEL_AREA);
    if (infer)
        label_check_infer_sets(check);
    else
        label_check_add_set(check, "region0", KERNEL_COOKIE, dimms, k->n_dimms);
    label_check_run(check, force);
    return check;
}

static void check_slots(const LabelDimm *was, const LabelDimm *is) {
    Label label;

    g_assert_no_error(is->fault);
    g_assert_cmpuint(is->area.n_slots, ==, was->area.n_slots);
    for (uint32_t slot = 0; slot < was->area.n_slots; slot++) {
        if (label_area_in_use(&was->area, slot) == label_area_in_use(&is->area, slot))
            continue;
        g_assert_cmpint(label_area_decode(&was->area, slot, &label), ==, LABEL_OK);
        g_assert_cmpint(backend_tag_parse(label.name, NULL, NULL), !=, BACKEND_ROLE_NONE);
    }
}

/* false: there was nothing to do. */
static bool repair_once(LabelKernel *k, bool infer, bool force) {
    g_autoptr(LabelCheck) was = fuzz_look(k, infer, force);
    g_autoptr(GPtrArray) plan = label_check_plan(was);

    for (guint i = 0; i < plan->len; i++) {
        const LabelWrite *write = plan->pdata[i];
        const LabelDimm *dimm = was->dimms->pdata[write->dimm];

        g_assert_cmpuint(write->offset, ==, (1 - dimm->area.current) * dimm->area.index_size);
        g_assert_cmpuint(write->len, ==, dimm->area.index_size);
        memcpy(k->area[write->dimm] + write->offset, write->bytes, write->len);
    }
    g_autoptr(LabelCheck) is = fuzz_look(k, infer, force);
    for (guint i = 0; i < was->dimms->len; i++)
        if (!((const LabelDimm *) was->dimms->pdata[i])->fault)
            check_slots(was->dimms->pdata[i], is->dimms->pdata[i]);
    return plan->len > 0;
}

/* What is dropped can make room for what can be finished then. */
static void fuzz_repair(Input *in) {
    bool infer = input_rarely(in, 2), force = input_rarely(in, 2);
    unsigned rounds = 0;
    LabelKernel k;

    fuzz_areas(in, &k);
    while (repair_once(&k, infer, force))
        g_assert_cmpuint(rounds++, <, KERNEL_DIMMS_MAX * lk_slots(&k));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Input in = input_new(data, size);

    switch (input_below(&in, 6)) {
    case 0:
        fuzz_tag(&in);
        break;
    case 1:
        fuzz_superblock(&in, false);
        break;
    case 2:
        fuzz_superblock(&in, true);
        break;
    case 3:
        fuzz_placement(&in);
        break;
    case 4:
        fuzz_record(&in);
        break;
    default:
        fuzz_repair(&in);
        break;
    }
    return 0;
}
