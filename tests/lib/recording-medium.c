/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "tests/lib/recording-medium.h"

#include <errno.h>
#include <string.h>

static RecordingMedium *recording(Medium *m) {
    return (RecordingMedium *) m;
}

static bool inside(const Medium *m, uint64_t off, uint64_t len) {
    return off <= m->size && len <= m->size - off;
}

static bool fails_now(RecordingMedium *m) {
    m->calls++;
    return m->fail_at != 0 && (m->calls == m->fail_at || (m->fail_for_ever && m->calls > m->fail_at));
}

static void record(RecordingMedium *m, uint64_t off, const uint8_t *buf, size_t len) {
    while (len > 0) {
        uint64_t line = off / RECORDING_LINE;
        bool whole_line = off % RECORDING_LINE == 0 && len >= RECORDING_LINE && m->pending_of_line[line] == 0 &&
                          memcmp(m->durable + off, buf, RECORDING_LINE) == 0;
        size_t n = whole_line ? RECORDING_LINE : MIN(len, 8 - off % 8);

        /* A store of what is durable already changes nothing that a cut could show. */
        if (!whole_line && (m->pending_of_line[line] != 0 || memcmp(m->durable + off, buf, n) != 0)) {
            RecordingStore s = { .off = off, .len = (uint8_t) n };
            memcpy(s.bytes, buf, n);
            g_array_append_val(m->pending, s);
            m->pending_of_line[line] = 1;
            memcpy(m->view + off, buf, n);
        }
        off += n;
        buf += n;
        len -= n;
    }
}

static int recording_store(Medium *base, uint64_t off, const void *buf, size_t len) {
    RecordingMedium *m = recording(base);
    if (!inside(base, off, len))
        return -EINVAL;
    m->stores++;
    if (fails_now(m)) {
        /* A failed write may have done a part of its work, in whole words. */
        record(m, off, buf, len / 2 / 8 * 8);
        return -m->fail_errno;
    }
    record(m, off, buf, len);
    return 0;
}

static int recording_flush(Medium *base, uint64_t off, size_t len) {
    RecordingMedium *m = recording(base);
    if (!inside(base, off, len))
        return -EINVAL;
    m->flushes++;
    if (fails_now(m))
        return -m->fail_errno;

    uint64_t first = off / RECORDING_LINE, end = (off + len + RECORDING_LINE - 1) / RECORDING_LINE;
    for (guint i = 0; i < m->pending->len; i++) {
        RecordingStore *s = &g_array_index(m->pending, RecordingStore, i);
        if (s->off / RECORDING_LINE >= first && s->off / RECORDING_LINE < end)
            s->flushed = true;
    }
    return 0;
}

static int recording_fence(Medium *base) {
    RecordingMedium *m = recording(base);
    m->fences++;
    if (m->before_fence)
        m->before_fence(m, m->data);
    if (fails_now(m))
        return -m->fail_errno;

    guint kept = 0;
    memset(m->pending_of_line, 0, base->size / RECORDING_LINE);
    for (guint i = 0; i < m->pending->len; i++) {
        RecordingStore s = g_array_index(m->pending, RecordingStore, i);
        if (s.flushed || base->class == MEDIUM_CLASS_FILE) {
            memcpy(m->durable + s.off, s.bytes, s.len);
        } else {
            m->pending_of_line[s.off / RECORDING_LINE] = 1;
            g_array_index(m->pending, RecordingStore, kept++) = s;
        }
    }
    g_array_set_size(m->pending, kept);
    return 0;
}

static int recording_readable(Medium *base, uint64_t off, size_t len) {
    if (!inside(base, off, len))
        return -EINVAL;
    uint64_t end = (off + len + RECORDING_LINE - 1) / RECORDING_LINE;
    return memchr(recording(base)->poison + off / RECORDING_LINE, 1, end - off / RECORDING_LINE) ? -EIO : 0;
}

static const uint8_t *recording_base(Medium *base) {
    return recording(base)->view;
}

static void recording_free(Medium *base) {
    RecordingMedium *m = recording(base);
    g_array_unref(m->pending);
    g_free(m->view);
    g_free(m->durable);
    g_free(m->pending_of_line);
    g_free(m->poison);
    g_free(m);
}

static const MediumOps recording_ops = {
    .store = recording_store,
    .flush = recording_flush,
    .fence = recording_fence,
    .readable = recording_readable,
    .base = recording_base,
    .free = recording_free,
};

RecordingMedium *recording_medium_new(uint64_t size, MediumClass class) {
    g_assert(size % RECORDING_LINE == 0);

    RecordingMedium *m = g_new0(RecordingMedium, 1);
    m->base.ops = &recording_ops;
    m->base.size = size;
    m->base.class = class;
    m->view = g_malloc0(size);
    m->durable = g_malloc0(size);
    m->pending = g_array_new(FALSE, FALSE, sizeof(RecordingStore));
    m->pending_of_line = g_malloc0(size / RECORDING_LINE);
    m->poison = g_malloc0(size / RECORDING_LINE);
    return m;
}

static void clear_faults(RecordingMedium *m) {
    memset(m->poison, 0, m->base.size / RECORDING_LINE);
    m->calls = m->fail_at = m->stores = m->flushes = m->fences = 0;
    m->fail_for_ever = false;
    m->before_fence = NULL;
    m->data = NULL;
}

void recording_medium_reset(RecordingMedium *m, const uint8_t *image) {
    if (image) {
        memcpy(m->view, image, m->base.size);
        memcpy(m->durable, image, m->base.size);
    } else {
        memset(m->view, 0, m->base.size);
        memset(m->durable, 0, m->base.size);
    }
    g_array_set_size(m->pending, 0);
    memset(m->pending_of_line, 0, m->base.size / RECORDING_LINE);
    clear_faults(m);
}

void recording_medium_copy(RecordingMedium *to, const RecordingMedium *from) {
    g_assert(to->base.size == from->base.size && to->base.class == from->base.class);

    memcpy(to->view, from->view, from->base.size);
    memcpy(to->durable, from->durable, from->base.size);
    memcpy(to->pending_of_line, from->pending_of_line, from->base.size / RECORDING_LINE);
    g_array_set_size(to->pending, 0);
    g_array_append_vals(to->pending, from->pending->data, from->pending->len);
    /* Who stored them may have been killed before the flush. */
    for (guint i = 0; i < to->pending->len; i++)
        g_array_index(to->pending, RecordingStore, i).flushed = false;
    clear_faults(to);
}

void recording_medium_poison(RecordingMedium *m, uint64_t off) {
    uint64_t line = off / RECORDING_LINE;
    m->poison[line] = 1;
    /* Whoever reads it all the same must not get what was there. */
    memset(m->view + line * RECORDING_LINE, 0xa5, RECORDING_LINE);
    memset(m->durable + line * RECORDING_LINE, 0xa5, RECORDING_LINE);
}

/* The pending stores of one line. */
typedef struct {
    uint64_t line;
    guint *stores; /* indices, in program order */
    guint n;
    guint keep; /* the prefix that a cut leaves */
} Line;

static GArray *pending_lines(const RecordingMedium *m, guint *indices) {
    GArray *lines = g_array_new(FALSE, FALSE, sizeof(Line));
    g_autoptr(GHashTable) by_line = g_hash_table_new(g_direct_hash, g_direct_equal);

    for (guint i = 0; i < m->pending->len; i++) {
        uint64_t at = g_array_index(m->pending, RecordingStore, i).off / RECORDING_LINE;
        gpointer known = g_hash_table_lookup(by_line, GSIZE_TO_POINTER(at + 1));
        if (!known) {
            Line line = { .line = at };
            g_array_append_val(lines, line);
            known = GUINT_TO_POINTER(lines->len);
            g_hash_table_insert(by_line, GSIZE_TO_POINTER(at + 1), known);
        }
        g_array_index(lines, Line, GPOINTER_TO_UINT(known) - 1).n++;
    }
    for (guint l = 0, used = 0; l < lines->len; l++) {
        Line *line = &g_array_index(lines, Line, l);
        line->stores = indices + used;
        used += line->n;
        line->n = 0;
    }
    for (guint i = 0; i < m->pending->len; i++) {
        uint64_t at = g_array_index(m->pending, RecordingStore, i).off / RECORDING_LINE;
        guint l = GPOINTER_TO_UINT(g_hash_table_lookup(by_line, GSIZE_TO_POINTER(at + 1))) - 1;
        Line *line = &g_array_index(lines, Line, l);
        line->stores[line->n++] = i;
    }
    return lines;
}

static void build_image(const RecordingMedium *m, const GArray *lines, uint8_t *image) {
    for (guint l = 0; l < lines->len; l++) {
        const Line *line = &g_array_index(lines, Line, l);
        memcpy(image + line->line * RECORDING_LINE, m->durable + line->line * RECORDING_LINE, RECORDING_LINE);
        for (guint i = 0; i < line->keep; i++) {
            const RecordingStore *s = &g_array_index(m->pending, RecordingStore, line->stores[i]);
            memcpy(image + s->off, s->bytes, s->len);
        }
    }
}

/* Next combination of prefixes; false after the last. */
static bool advance(GArray *lines) {
    for (guint l = 0; l < lines->len; l++) {
        Line *line = &g_array_index(lines, Line, l);
        if (line->keep < line->n) {
            line->keep++;
            return true;
        }
        line->keep = 0;
    }
    return false;
}

static void choose(GArray *lines, GRand *rand) {
    guint32 way = g_rand_int_range(rand, 0, 5);
    guint odd = (guint) g_rand_int_range(rand, 0, (gint32) lines->len);

    for (guint l = 0; l < lines->len; l++) {
        Line *line = &g_array_index(lines, Line, l);
        guint some = (guint) g_rand_int_range(rand, 0, (gint32) line->n + 1);
        guint all_or_none = g_rand_boolean(rand) ? line->n : 0;
        switch (way) {
        case 0:
            line->keep = some;
            break;
        case 1:
            line->keep = all_or_none;
            break;
        case 2: /* one line got through */
            line->keep = l == odd ? line->n : 0;
            break;
        case 3: /* one line did not */
            line->keep = l == odd ? 0 : line->n;
            break;
        default: /* all before it did, as if in order */
            line->keep = l < odd ? line->n : l == odd ? some : 0;
            break;
        }
    }
}

static void choose_chunks(const RecordingMedium *m, GRand *rand, uint8_t *image) {
    static const guint32 percents[] = { 2, 10, 50, 90, 98 };
    gint32 percent = (gint32) percents[g_rand_int_range(rand, 0, G_N_ELEMENTS(percents))];

    for (guint i = 0; i < m->pending->len; i++) {
        const RecordingStore *s = &g_array_index(m->pending, RecordingStore, i);
        if (g_rand_int_range(rand, 0, 100) < percent)
            memcpy(image + s->off, s->bytes, s->len);
    }
}

unsigned recording_medium_cut(RecordingMedium *m, CutMode mode, unsigned cap, GRand *rand,
                              void (*func)(const uint8_t *image, void *data), void *data) {
    g_autofree guint *indices = g_new(guint, m->pending->len + 1);
    g_autoptr(GArray) lines = pending_lines(m, indices);
    g_autofree uint8_t *image = g_memdup2(m->durable, m->base.size);
    unsigned images = 0;

    double possible = 1;
    for (guint l = 0; l < lines->len && possible <= cap; l++)
        possible *= g_array_index(lines, Line, l).n + 1;
    if (lines->len == 0 || (mode == CUT_PREFIX && possible <= cap)) {
        do {
            build_image(m, lines, image);
            func(image, data);
            images++;
        } while (advance(lines));
        return images;
    }

    for (; images < cap; images++) {
        if (mode == CUT_PREFIX)
            choose(lines, rand);
        build_image(m, lines, image);
        if (mode == CUT_CHUNKS)
            choose_chunks(m, rand, image);
        func(image, data);
    }
    return images;
}
