/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Where a region of a given size goes: the smallest free gap of all raw regions in which its device fits, the lowest of
 * equal ones. Where a raw region's map answers that (always, but for rare alignments and devices that stand across
 * others), it is O(log n).
 */
#include "daemon/rules-placement.h"

#include "daemon/frame-set.h"
#include "proto/error.h"

#define NO_SECOND_START (UINT64_C(1) << 60) /* no raw region is that large */
#define NODES_NAMED 8                       /* in a message */

/* Where a device may begin in its raw region: at offsets of first + k * period frames. */
typedef struct {
    uint64_t first;
    uint64_t period;
} Starts;

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b) {
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* x with odd * x = 1 (mod 2^64): each round doubles the number of right bits, which are three at first. */
static uint64_t inverse(uint64_t odd) {
    uint64_t x = odd;

    for (int i = 0; i < 5; i++)
        x *= 2 - odd * x;
    return x;
}

/*
 * The offset of a device is a multiple of the step, and raw start + offset + lead one of the alignment (frames, a power
 * of two). false: never. The raw region has more frames than the lead.
 */
static bool find_starts(const Raw *raw, uint64_t alignment, Starts *ret_starts) {
    uint64_t step = placement_step_frames(raw);
    uint64_t common = greatest_common_divisor(step, alignment);
    uint64_t beyond = (raw->range.start + raw->lead) % alignment;
    uint64_t mask = alignment / common - 1;
    Starts starts;

    if (beyond % common != 0)
        return false;

    /* k * step = -beyond (mod alignment), all divided by what both have in common: step is odd then, or mask is 0. */
    uint64_t k = ((0 - beyond / common) * inverse(step / common)) & mask;
    if (__builtin_mul_overflow(k, step, &starts.first) || starts.first >= NO_SECOND_START)
        return false;
    if (__builtin_mul_overflow(mask + 1, step, &starts.period) || starts.period > NO_SECOND_START)
        starts.period = NO_SECOND_START;
    *ret_starts = starts;
    return true;
}

/* The first start at or behind the frame `at` of raw. */
static uint64_t next_start(const Raw *raw, const Starts *starts, uint64_t at) {
    uint64_t offset = at - raw->range.start;

    if (offset > starts->first) {
        uint64_t behind = (offset - starts->first) % starts->period;

        offset += behind == 0 ? 0 : starts->period - behind;
    } else
        offset = starts->first;
    return raw->range.start + offset;
}

/* ---- gaps, with the devices that the map could not take in ---- */

typedef struct {
    const Raw *raw;
    const RegionMapEntry *entry;
    const GArray *unmapped; /* NULL: none */
    guint i;                /* in unmapped */
    uint64_t pos;           /* everything below was given or is used */
} Gaps;

static void gaps_begin(Gaps *gaps, const Raw *raw, const GArray *unmapped) {
    *gaps = (Gaps){
        .raw = raw,
        .entry = region_map_first(raw->map),
        .unmapped = unmapped,
        .pos = raw->range.start,
    };
}

/* Gaps by address. false: no more. */
static bool gaps_next(Gaps *gaps, FrameRange *ret_gap) {
    while (gaps->pos < gaps->raw->range.end) {
        bool more = gaps->unmapped && gaps->i < gaps->unmapped->len;
        FrameRange used = { gaps->raw->range.end, gaps->raw->range.end };
        FrameRange gap = { gaps->pos, 0 };

        if (more)
            used = g_array_index(gaps->unmapped, FrameRange, gaps->i);
        if (gaps->entry && (!more || gaps->entry->range.start < used.start)) {
            used = gaps->entry->range;
            gaps->entry = region_map_next(gaps->raw->map, gaps->entry);
        } else
            gaps->i++;
        gap.end = MIN(used.start, gaps->raw->range.end);
        gaps->pos = MAX(gaps->pos, used.end);
        if (gap.start < gap.end) {
            *ret_gap = gap;
            return true;
        }
    }
    return false;
}

/* ---- one raw region ---- */

/* Why no place in raw is ever chosen; NULL: it may be. */
static const char *left_out_reason(const Raw *raw) {
    return raw->unusable ? raw->unusable : raw->unmanaged ? "it is not in Manage= of pmemd.conf" : NULL;
}

/* The same without labels being made: what could be divided with them is not given away whole. */
static const char *passed_over_reason(const Raw *raw) {
    const char *reason = left_out_reason(raw);

    return !reason && raw->initialisable ? "its labels were never initialised: --init-labels (option init-labels) on "
                                           "setting up a management region does it"
                                         : reason;
}

typedef struct {
    uint64_t frames;    /* usable */
    uint64_t alignment; /* frames, at least 1 */
    int node;
    bool init_labels;
} Wish;

typedef struct {
    Raw *raw;
    FrameRange device;
    uint64_t gap; /* frames of the gap it stands in */
} Fit;

/* First what it takes (a region without labels goes whole, a coarse step wastes), then the tighter gap. */
static bool fit_is_better(const Fit *fit, const Fit *than) {
    uint64_t takes = frame_range_frames(fit->device), takes_than = frame_range_frames(than->device);

    return takes != takes_than ? takes < takes_than : fit->gap < than->gap;
}

/* Frames of the device range with so many usable frames; 0: more than raw has. */
static uint64_t device_frames(const Raw *raw, uint64_t usable) {
    uint64_t step = placement_step_frames(raw);
    uint64_t all = frame_range_frames(raw->range);
    uint64_t minimum = placement_minimum_frames(raw);

    if (minimum > all || usable > all - raw->lead)
        return 0;

    uint64_t frames = MAX(usable + raw->lead, minimum);
    frames += (step - frames % step) % step;
    return frames <= all ? frames : 0;
}

static bool fit_whole(Raw *raw, const GArray *unmapped, const Wish *wish, Fit *ret_fit) {
    uint64_t all = frame_range_frames(raw->range);

    if (raw->lead >= all || wish->frames > all - raw->lead || (raw->range.start + raw->lead) % wish->alignment != 0 ||
        region_map_count(raw->map) > 0 || unmapped)
        return false;
    *ret_fit = (Fit){ .raw = raw, .device = raw->range, .gap = all };
    return true;
}

/* The same as region_map_best_fit(), for every layout of starts and around what is not in the map, but O(n). */
static bool fit_by_walk(Raw *raw, const GArray *unmapped, const Starts *starts, uint64_t frames, Fit *ret_fit) {
    Fit best = { .raw = NULL };
    FrameRange gap;
    Gaps gaps;

    gaps_begin(&gaps, raw, unmapped);
    while (gaps_next(&gaps, &gap)) {
        uint64_t start = next_start(raw, starts, gap.start);

        if (start > gap.end || frames > gap.end - start || (best.raw && best.gap <= frame_range_frames(gap)))
            continue;
        best = (Fit){ .raw = raw, .device = { start, start + frames }, .gap = frame_range_frames(gap) };
    }
    if (!best.raw)
        return false;
    *ret_fit = best;
    return true;
}

static bool fit_in_raw(const State *state, Raw *raw, const Wish *wish, Fit *ret_fit) {
    g_autoptr(GArray) unmapped = placement_unmapped(state, raw);

    if (placement_is_whole(raw, false))
        return fit_whole(raw, unmapped, wish, ret_fit);

    uint64_t frames = device_frames(raw, wish->frames);
    Starts starts;
    if (frames == 0 || !find_starts(raw, wish->alignment, &starts))
        return false;

    /* The map counts multiples from a base that is not behind its window. */
    uint64_t base = raw->range.start + starts.first;
    if (starts.first != 0 && base >= starts.period)
        base -= starts.period;
    if (base > raw->range.start || unmapped)
        return fit_by_walk(raw, unmapped, &starts, frames, ret_fit);

    FrameRange device;
    FrameRange gap;
    if (!region_map_best_fit(raw->map, frames, starts.period, base, &device) ||
        !region_map_gap_around(raw->map, device, &gap))
        return false;
    *ret_fit = (Fit){ .raw = raw, .device = device, .gap = frame_range_frames(gap) };
    return true;
}

/* In a raw region that is about to get labels, which empties it. */
static bool fit_in_relabelled(Raw *raw, const Wish *wish, Fit *ret_fit) {
    uint64_t frames = device_frames(raw, wish->frames);
    Starts starts;

    if (frames == 0 || !find_starts(raw, wish->alignment, &starts))
        return false;

    uint64_t start = raw->range.start + starts.first;
    if (start > raw->range.end || frames > raw->range.end - start ||
        frame_set_frames_in(raw->bad, (FrameRange){ start, start + frames }) > 0)
        return false;
    *ret_fit = (Fit){
        .raw = raw,
        .device = { start, start + frames },
        .gap = frame_range_frames(raw->range),
    };
    return true;
}

/* ---- nothing fits ---- */

/* Usable bytes of the largest region that fits into raw; adds its free bytes to *total. */
static uint64_t largest_bytes(const State *state, const Raw *raw, const Wish *wish, uint64_t *total) {
    g_autoptr(GArray) unmapped = placement_unmapped(state, raw);
    uint64_t minimum = placement_minimum_frames(raw);
    uint64_t step = placement_step_frames(raw);
    uint64_t all = frame_range_frames(raw->range);
    uint64_t largest = 0;
    bool whole = placement_is_whole(raw, false);
    Starts starts = { 0, 1 };
    bool can_start = minimum <= all && (whole || find_starts(raw, wish->alignment, &starts));
    FrameRange gap;
    Gaps gaps;

    gaps_begin(&gaps, raw, unmapped);
    while (gaps_next(&gaps, &gap)) {
        *total += placement_bytes(frame_range_frames(gap));
        if (!can_start)
            continue;
        if (whole) {
            if (frame_range_frames(gap) == all && (raw->range.start + raw->lead) % wish->alignment == 0)
                largest = all - raw->lead;
            continue;
        }

        uint64_t start = next_start(raw, &starts, gap.start);
        if (start > gap.end)
            continue;
        uint64_t frames = (gap.end - start) / step * step;
        if (frames >= minimum)
            largest = MAX(largest, frames - raw->lead);
    }
    return placement_bytes(largest);
}

/* "largest possible: 123 bytes on node 0, ...; free in total: 456 bytes" */
static char *describe_free(const State *state, const Wish *wish) {
    GPtrArray *raws = state_raws(state);
    g_autoptr(GString) text = g_string_new("largest possible: ");
    struct {
        int node;
        uint64_t bytes;
    } nodes[NODES_NAMED];
    guint n_nodes = 0;
    uint64_t total = 0, bad = 0;

    for (guint i = 0; i < raws->len; i++) {
        const Raw *raw = g_ptr_array_index(raws, i);
        guint node = 0;

        if ((wish->init_labels ? left_out_reason(raw) : passed_over_reason(raw)) ||
            (wish->node >= 0 && raw->node != wish->node))
            continue;
        uint64_t bytes = largest_bytes(state, raw, wish, &total);
        bad += frame_set_frames(raw->bad);
        while (node < n_nodes && nodes[node].node != raw->node)
            node++;
        if (node == NODES_NAMED)
            continue;
        if (node == n_nodes) {
            nodes[n_nodes].node = raw->node;
            nodes[n_nodes++].bytes = 0;
        }
        nodes[node].bytes = MAX(nodes[node].bytes, bytes);
    }
    if (n_nodes == 0)
        g_string_append(text, "nothing");
    for (guint node = 0; node < n_nodes; node++)
        g_string_append_printf(text, "%s" U64_FORMAT " bytes on node %d", node == 0 ? "" : ", ", nodes[node].bytes,
                               nodes[node].node);
    g_string_append_printf(text, "; free in total: " U64_FORMAT " bytes", total);
    if (bad > 0)
        g_string_append_printf(text, ", without the " U64_FORMAT " bad frames of these raw regions", bad);
    return g_strdup(text->str);
}

static void set_nothing_fits_error(const State *state, const PlacementWish *asked, const Wish *wish,
                                   const Raw *left_out, GError **error) {
    g_autofree char *free_space = describe_free(state, wish);
    g_autofree char *reason =
        left_out ? g_strdup_printf(" (raw region %s is left out: %s)", left_out->id, passed_over_reason(left_out))
                 : g_strdup("");
    g_autofree char *alignment =
        asked->alignment != 0 ? g_strdup_printf(" aligned to " U64_FORMAT " bytes", asked->alignment) : g_strdup("");
    g_autofree char *where = wish->node >= 0 ? g_strdup_printf(" on node %d", wish->node) : g_strdup("");

    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SPACE,
                "no free gap takes " U64_FORMAT " bytes%s%s; %s%s: ask for less, or release regions", asked->bytes,
                alignment, where, free_space, reason);
}

/* ---- all raw regions ---- */

static bool check_node(const State *state, int node, GError **error) {
    GPtrArray *raws = state_raws(state);
    g_autoptr(GString) known = g_string_new(NULL);

    if (node == -1)
        return true;
    for (guint i = 0; i < raws->len; i++) {
        const Raw *raw = g_ptr_array_index(raws, i);

        if (raw->node == node && node >= 0)
            return true;
        if (i < NODES_NAMED)
            g_string_append_printf(known, "%s%s on node %d", i == 0 ? "" : ", ", raw->id, raw->node);
    }
    g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "no raw region is on node %d: name one of these, or none for any (%s)", node,
                raws->len > 0 ? known->str : "this host has no raw region");
    return false;
}

static bool make_wish(const State *state, const PlacementWish *asked, Wish *ret_wish, GError **error) {
    uint64_t alignment = asked->alignment;

    if (asked->bytes == 0) {
        g_set_error_literal(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                            "0 bytes were asked for: ask for at least one");
        return false;
    }
    if (alignment != 0 && (alignment < PMEMD_FRAME_SIZE || (alignment & (alignment - 1)) != 0)) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                    "an alignment of " U64_FORMAT
                    " bytes is not possible: give a power of two of at least %d, or 0 for the "
                    "raw region's own",
                    alignment, (int) PMEMD_FRAME_SIZE);
        return false;
    }
    if (!check_node(state, asked->node, error))
        return false;
    *ret_wish = (Wish){
        .frames = asked->bytes / PMEMD_FRAME_SIZE + (asked->bytes % PMEMD_FRAME_SIZE != 0),
        .alignment = MAX(alignment / PMEMD_FRAME_SIZE, 1),
        .node = asked->node,
        .init_labels = asked->init_labels,
    };
    return true;
}

static void set_placement(const Fit *fit, bool init_labels, Placement *ret_placement) {
    *ret_placement = (Placement){
        .raw = fit->raw,
        .range = { fit->device.start + fit->raw->lead, fit->device.end },
        .device = fit->device,
        .init_labels = init_labels,
    };
}

static bool may_relabel(const Raw *raw, const Wish *wish) {
    return wish->init_labels && !left_out_reason(raw) && placement_makes_labels(raw, true) &&
           (wish->node < 0 || raw->node == wish->node);
}

/* Where nobody has anything nothing is lost: any will do. */
static bool allocate_blank(const State *state, const Wish *wish, Placement *ret_placement) {
    GPtrArray *raws = state_raws(state);
    Fit best = { .raw = NULL };

    for (guint i = 0; i < raws->len; i++) {
        Raw *raw = g_ptr_array_index(raws, i);
        g_autoptr(GArray) unmapped = placement_unmapped(state, raw);
        Fit fit;

        if (may_relabel(raw, wish) && region_map_count(raw->map) == 0 && !unmapped &&
            fit_in_relabelled(raw, wish, &fit) && (!best.raw || fit_is_better(&fit, &best)))
            best = fit;
    }
    if (best.raw)
        set_placement(&best, true, ret_placement);
    return best.raw;
}

/*
 * Only when nothing fits without, and only when there is no choice: the administrator agreed to lose what one raw
 * region holds, and must know which. found->raw stays NULL when no raw region could get labels.
 */
static bool allocate_relabelled(const State *state, const Wish *wish, Placement *found, GError **error) {
    GPtrArray *raws = state_raws(state);
    Placement blocked = { .raw = NULL };

    for (guint i = 0; wish->init_labels && i < raws->len; i++) {
        Raw *raw = g_ptr_array_index(raws, i);
        Placement placement;
        Fit fit;

        if (!may_relabel(raw, wish) || !fit_in_relabelled(raw, wish, &fit))
            continue;
        set_placement(&fit, true, &placement);
        if (!placement_check_free(state, &placement, NULL))
            blocked = placement;
        else if (!found->raw)
            *found = placement;
        else {
            g_set_error(
                error, PMEMD_ERROR, PMEMD_ERROR_INVALID_ARGUMENT,
                "init-labels would discard what is on the raw region %s or on %s, which both fit: say on which by "
                "setting up exact frames there",
                found->raw->id, raw->id);
            return false;
        }
    }
    return found->raw || !blocked.raw || placement_check_free(state, &blocked, error);
}

bool placement_allocate(const State *state, const PlacementWish *asked, Placement *ret_placement, GError **error) {
    GPtrArray *raws = state_raws(state);
    const Raw *left_out = NULL;
    Fit best = { .raw = NULL };
    Fit without_slots = { .raw = NULL };
    Placement relabelled = { .raw = NULL };
    Wish wish;

    if (!make_wish(state, asked, &wish, error))
        return false;
    for (guint i = 0; i < raws->len; i++) {
        Raw *raw = g_ptr_array_index(raws, i);
        Fit fit;

        if (wish.node >= 0 && raw->node != wish.node)
            continue;
        if (passed_over_reason(raw)) {
            left_out = raw;
            continue;
        }
        if (!fit_in_raw(state, raw, &wish, &fit))
            continue;
        if (raw->subdividable && raw->free_slots < PLACEMENT_SLOTS_MIN)
            without_slots = fit;
        else if (!best.raw || fit_is_better(&fit, &best))
            best = fit;
    }
    if (best.raw) {
        set_placement(&best, false, ret_placement);
        return true;
    }
    if (!allocate_blank(state, &wish, &relabelled) && !allocate_relabelled(state, &wish, &relabelled, error))
        return false;
    if (relabelled.raw) {
        *ret_placement = relabelled;
        return true;
    }
    if (!without_slots.raw) {
        set_nothing_fits_error(state, asked, &wish, left_out, error);
        return false;
    }

    /* Nothing but the label slots is in the way. */
    placement_check_slots(without_slots.raw, error);
    return false;
}
