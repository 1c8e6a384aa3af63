/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * libFuzzer target: the text of health.conf, beside a regions.conf that is always the same. Checked: it is refused with
 * an error that names the file, or gives bad frames that are in order, apart and in their raw region, and DIMMs each
 * value of which is one that its key allows; and without the frames that were cleared it gives all else again.
 */
#include "daemon/file-health.h"
#include "daemon/frame-set.h"
#include "proto/error.h"
#include "tests/fuzz/fuzz-input.h"

static const char regions_conf[] = "[region0]\nStartFrame=0x480000\nBytes=16M\nNode=0\n"
                                   "[region1]\nStartFrame=0x500000\nBytes=16M\nNode=1\n";

static void check_bad(const FileRegion *region, const GArray *bad, bool all) {
    uint64_t end = 0;

    g_assert_true(!all || (bad && bad->len == 1));
    for (guint i = 0; bad && i < bad->len; i++) {
        FrameRange range = g_array_index(bad, FrameRange, i);

        g_assert_cmpuint(range.start, <, range.end);
        g_assert_true(i == 0 || range.start > end);
        g_assert_true(frame_range_contains(region->range, range));
        g_assert_true(!all || frame_range_equal(region->range, range));
        end = range.end;
    }
}

static void check_dimm(const DimmHealth *dimm) {
    g_assert_true(pmemd_name_is_valid(dimm->id));
    g_assert_true(dimm->state >= 0 && dimm->state < N_HEALTHS);
    g_assert_cmpuint(dimm->flags, <, 1u << N_DIMM_FLAGS);
    g_assert_true(dimm->spares == DIMM_UNKNOWN || (dimm->spares >= 0 && dimm->spares <= 100));
    g_assert_true(dimm->life_used == DIMM_UNKNOWN || (dimm->life_used >= 0 && dimm->life_used <= 255));
    g_assert_true(dimm->temperature == DIMM_TEMPERATURE_UNKNOWN ||
                  (dimm->temperature >= -2047 && dimm->temperature <= 2047));
    g_assert_true(dimm->unsafe_shutdowns == DIMM_SHUTDOWNS_UNKNOWN || dimm->unsafe_shutdowns <= UINT32_MAX);
}

static void check_dimms(GPtrArray *dimms) {
    if (!dimms)
        return;
    for (guint i = 0; i < dimms->len; i++)
        check_dimm(g_ptr_array_index(dimms, i));

    DimmHealth *worst = dimm_healths_worst(dimms);
    for (guint i = 0; i < dimms->len; i++) {
        const DimmHealth *dimm = g_ptr_array_index(dimms, i);

        g_assert_cmpuint(worst->flags & dimm->flags, ==, dimm->flags);
        g_assert_cmpint(health_worst(worst->state, dimm->state), ==, worst->state);
    }
    dimm_health_free(worst);
}

/* What the file says when `frames` of the region were cleared. */
static void check_cleared(const FileHealth *health, GPtrArray *regions, const FileRegion *region, FrameRange frames) {
    g_autofree char *text = file_health_cleared(health, region->name, frames);
    g_autoptr(GError) error = NULL;
    g_autoptr(FileHealth) again = file_health_parse(text, "health.conf", regions, &error);

    g_assert_no_error(error);
    for (guint i = 0; i < regions->len; i++) {
        const FileRegion *r = regions->pdata[i];
        bool all, all_again;
        g_autoptr(GArray) bad = file_health_bad(health, r->name, &all);
        g_autoptr(GArray) left = file_health_bad(again, r->name, &all_again);
        GPtrArray *dimms = file_health_dimms(health, r->name), *same = file_health_dimms(again, r->name);

        check_bad(r, left, all_again);
        g_assert_true(dimm_healths_equal(dimms, same));
        g_clear_pointer(&dimms, g_ptr_array_unref);
        g_clear_pointer(&same, g_ptr_array_unref);
        if (r == region) {
            g_assert_cmpuint(frame_set_frames_in(left, frames), ==, 0);
            g_assert_cmpuint(frame_set_frames_in(left, r->range), ==,
                             frame_set_frames_in(bad, r->range) - frame_set_frames_in(bad, frames));
        } else
            g_assert_true(frame_set_equal(bad, left));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static GPtrArray *regions;
    g_autofree char *text = g_strndup((const char *) data, size);
    g_autoptr(GError) error = NULL;

    if (!regions)
        regions = file_regions_parse(regions_conf, "regions.conf", NULL);
    g_assert_nonnull(regions);

    g_autoptr(FileHealth) health = file_health_parse(text, "health.conf", regions, &error);
    if (!health) {
        g_assert_true(g_error_matches(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT));
        g_assert_true(g_str_has_prefix(error->message, "health.conf: "));
        return 0;
    }
    for (guint i = 0; i < regions->len; i++) {
        const FileRegion *region = regions->pdata[i];
        uint64_t frames = frame_range_frames(region->range);
        bool all;
        g_autoptr(GArray) bad = file_health_bad(health, region->name, &all);
        g_autoptr(GPtrArray) dimms = file_health_dimms(health, region->name);
        /* Any part of it; the length of the text is as good as any other number. */
        uint64_t first = region->range.start + size * 7 % frames, last = first + size * 3 % (region->range.end - first);

        check_bad(region, bad, all);
        check_dimms(dimms);
        check_cleared(health, regions, region, (FrameRange){ first, last + 1 });
        check_cleared(health, regions, region, region->range);
    }
    return 0;
}
