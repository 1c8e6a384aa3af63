/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/label-check.h"

#include "daemon/backend.h"

#include <inttypes.h>
#include <string.h>

static void dimm_free(void *data) {
    LabelDimm *dimm = data;

    g_free(dimm->name);
    g_free(dimm->bytes);
    g_clear_error(&dimm->fault);
    g_free(dimm);
}

static void set_free(void *data) {
    LabelSet *set = data;

    g_free(set->name);
    g_free(set);
}

static void finding_free(void *data) {
    LabelFinding *finding = data;

    g_free(finding->why);
    g_free(finding);
}

static void write_free(void *data) {
    LabelWrite *write = data;

    g_free(write->bytes);
    g_free(write);
}

LabelCheck *label_check_new(void) {
    LabelCheck *check = g_new0(LabelCheck, 1);

    check->dimms = g_ptr_array_new_with_free_func(dimm_free);
    check->sets = g_ptr_array_new_with_free_func(set_free);
    check->findings = g_ptr_array_new_with_free_func(finding_free);
    return check;
}

void label_check_free(LabelCheck *check) {
    if (!check)
        return;
    g_ptr_array_unref(check->dimms);
    g_ptr_array_unref(check->sets);
    g_ptr_array_unref(check->findings);
    g_free(check);
}

static LabelDimm *add_dimm(LabelCheck *check, const char *name) {
    LabelDimm *dimm = g_new0(LabelDimm, 1);

    dimm->name = g_strdup(name);
    g_ptr_array_add(check->dimms, dimm);
    return dimm;
}

guint label_check_add_dimm(LabelCheck *check, const char *name, uint8_t *bytes, size_t size) {
    LabelDimm *dimm = add_dimm(check, name);
    Label label;

    dimm->bytes = bytes;
    dimm->size = size;
    if (label_area_open(bytes, size, &dimm->area, &dimm->fault))
        for (uint32_t slot = 0; slot < dimm->area.n_slots; slot++)
            if (label_area_in_use(&dimm->area, slot)) {
                dimm->in_use++;
                dimm->bad += label_area_decode(&dimm->area, slot, &label) != LABEL_OK;
            }
    return check->dimms->len - 1;
}

guint label_check_add_unreadable(LabelCheck *check, const char *name, const GError *why) {
    add_dimm(check, name)->fault = g_error_copy(why);
    return check->dimms->len - 1;
}

void label_check_add_set(LabelCheck *check, const char *name, uint64_t cookie, const guint *dimms, guint n_positions) {
    LabelSet *set = g_new0(LabelSet, 1);

    g_assert(n_positions > 0 && n_positions <= LABEL_SET_MAX);
    set->name = g_strdup(name);
    set->cookie = cookie;
    set->n_positions = n_positions;
    memcpy(set->dimms, dimms, n_positions * sizeof *dimms);
    g_ptr_array_add(check->sets, set);
}

/* --- sets without regions ----------------------------------------------------------------------------------------- */

static LabelSet *find_set(const LabelCheck *check, uint64_t cookie) {
    for (guint i = 0; i < check->sets->len; i++) {
        LabelSet *set = check->sets->pdata[i];

        if (set->cookie == cookie)
            return set;
    }
    return NULL;
}

static void infer_from(LabelCheck *check, guint number, const Label *label) {
    LabelSet *set = find_set(check, label->cookie);

    if (label->n_positions == 0 || label->n_positions > LABEL_SET_MAX || label->position >= label->n_positions)
        return;
    if (!set) {
        g_autofree char *name = g_strdup_printf("0x%" PRIx64, label->cookie);
        guint dimms[LABEL_SET_MAX];

        for (guint i = 0; i < LABEL_SET_MAX; i++)
            dimms[i] = G_MAXUINT;
        label_check_add_set(check, name, label->cookie, dimms, label->n_positions);
        set = find_set(check, label->cookie);
    }
    if (label->n_positions == set->n_positions && set->dimms[label->position] == G_MAXUINT)
        set->dimms[label->position] = number;
}

void label_check_infer_sets(LabelCheck *check) {
    for (guint i = 0; i < check->dimms->len; i++) {
        const LabelDimm *dimm = check->dimms->pdata[i];
        Label label;

        for (uint32_t slot = 0; !dimm->fault && slot < dimm->area.n_slots; slot++)
            if (label_area_decode(&dimm->area, slot, &label) == LABEL_OK)
                infer_from(check, i, &label);
    }
}

/* --- one uuid of one set ------------------------------------------------------------------------------------------ */

static const LabelDimm *dimm_at(const LabelCheck *check, const LabelSet *set, guint position) {
    return set->dimms[position] < check->dimms->len ? check->dimms->pdata[set->dimms[position]] : NULL;
}

static bool is_of(const LabelSet *set, sd_id128_t uuid, const Label *label) {
    return label->cookie == set->cookie && sd_id128_equal(label->uuid, uuid);
}

/* What one DIMM has of it. ret_first: its first good label. */
static void look_at_position(const LabelSet *set, const LabelDimm *dimm, guint position, LabelFinding *f,
                             Label *ret_first) {
    uint32_t bit = UINT32_C(1) << position;
    guint good = 0, bad = 0;
    Label label;

    for (uint32_t slot = 0; slot < dimm->area.n_slots; slot++) {
        if (!label_area_in_use(&dimm->area, slot) || !label_area_has_uuid(&dimm->area, slot, f->uuid))
            continue;
        LabelVerdict verdict = label_area_decode(&dimm->area, slot, &label);
        if (verdict == LABEL_EMPTY || label.cookie != set->cookie)
            continue;
        /* Also of one at a wrong position: force must not free it with ours. */
        if (verdict == LABEL_OK)
            f->ours = f->ours && backend_tag_parse(label.name, NULL, NULL) != BACKEND_ROLE_NONE;
        if (verdict != LABEL_OK || label.position != position || label.n_positions != set->n_positions) {
            bad++;
            continue;
        }
        if (good++ == 0)
            *ret_first = label;
        if (label.flags & LABEL_FLAG_UPDATING)
            f->updating |= bit;
    }
    f->present |= good > 0 ? bit : 0;
    f->missing |= good == 0 ? bit : 0;
    f->doubled |= good > 1 ? bit : 0;
    f->damaged |= bad > 0 ? bit : 0;
}

/* Labels of the first format have no checksum: whatever these numbers are, they are not added. */
static bool overlaps(const Label *a, const Label *b) {
    return a->start <= b->start ? b->start - a->start < a->size : a->start - b->start < b->size;
}

/* Whether its bytes are nobody's, and nobody's by another finding. */
static bool has_room(const LabelCheck *check, guint number, const Label *want) {
    const LabelDimm *dimm = check->dimms->pdata[number];
    Label label;

    if (want->size == 0 || want->start + want->size < want->start)
        return false;
    for (uint32_t slot = 0; slot < dimm->area.n_slots; slot++)
        if (label_area_in_use(&dimm->area, slot) && label_area_decode(&dimm->area, slot, &label) == LABEL_OK &&
            overlaps(&label, want))
            return false;
    for (guint i = 0; i < check->findings->len; i++) {
        const LabelFinding *f = check->findings->pdata[i];
        const LabelSet *set = check->sets->pdata[f->set];

        for (guint p = 0; f->remedy == LABEL_FINISH && p < set->n_positions; p++)
            if (f->missing & UINT32_C(1) << p && set->dimms[p] == number &&
                label_area_decode(&dimm->area, f->slots[p], &label) == LABEL_OK && overlaps(&label, want))
                return false;
    }
    return true;
}

/* A freed slot that still has the label which belongs to `like` at this position. The one that was in use last says no
 * more that it is updating. */
static bool find_freed(const LabelCheck *check, const LabelSet *set, guint position, const Label *like,
                       uint32_t *ret_slot) {
    const LabelDimm *dimm = dimm_at(check, set, position);
    bool found = false;
    Label label;

    for (uint32_t slot = 0; slot < dimm->area.n_slots; slot++) {
        if (label_area_in_use(&dimm->area, slot) || !label_area_has_uuid(&dimm->area, slot, like->uuid) ||
            label_area_decode(&dimm->area, slot, &label) != LABEL_OK || !is_of(set, like->uuid, &label) ||
            label.position != position || label.n_positions != set->n_positions || label.size != like->size ||
            label.lba_size != like->lba_size || strcmp(label.name, like->name) != 0 ||
            memcmp(label.kinds, like->kinds, sizeof label.kinds) != 0 || !has_room(check, set->dimms[position], &label))
            continue;
        if (found && label.flags & LABEL_FLAG_UPDATING)
            continue;
        *ret_slot = slot;
        if (!(label.flags & LABEL_FLAG_UPDATING))
            return true;
        found = true;
    }
    return found;
}

static bool can_finish(const LabelCheck *check, const LabelSet *set, const Label *like, LabelFinding *f) {
    for (guint p = 0; p < set->n_positions; p++)
        if (f->missing & UINT32_C(1) << p && !find_freed(check, set, p, like, &f->slots[p]))
            return false;
    return true;
}

static char *name_positions(const LabelCheck *check, const LabelSet *set, uint32_t positions) {
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint p = 0; p < set->n_positions; p++)
        if (positions & UINT32_C(1) << p) {
            const LabelDimm *dimm = dimm_at(check, set, p);

            g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", dimm ? dimm->name : "a DIMM not given");
        }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Why nothing can be done in this set, whatever the uuid. NULL: all is readable. */
static char *set_fault(const LabelCheck *check, const LabelSet *set) {
    for (guint p = 0; p < set->n_positions; p++) {
        const LabelDimm *dimm = dimm_at(check, set, p);

        if (!dimm)
            return g_strdup_printf("the label area of position %u is not given", p);
        if (dimm->fault)
            return g_strdup_printf("%s: %s", dimm->name, dimm->fault->message);
    }
    return NULL;
}

static void decide(const LabelCheck *check, const LabelSet *set, const Label *like, bool force, LabelFinding *f) {
    g_autofree char *fault = set_fault(check, set), *there = name_positions(check, set, f->present),
                    *missing = name_positions(check, set, f->missing),
                    *bad = name_positions(check, set, f->doubled | f->damaged);

    f->remedy = LABEL_LEAVE;
    if (fault)
        f->why = g_strdup_printf("cannot be judged: %s", fault);
    else if (!f->ours)
        f->why = g_strdup_printf("not pmemd's, and so left as it is: who made it must write its label on %s again, or "
                                 "clear the DIMMs with `ndctl zero-labels` if nothing on them is needed",
                                 missing[0] ? missing : bad);
    else if (!bad[0] && (f->updating & f->present) == f->present) {
        f->remedy = LABEL_DROP;
        f->why = g_strdup_printf("its creation was cut off: on %s, not yet on %s", there, missing);
    } else if (!bad[0] && can_finish(check, set, like, f)) {
        f->remedy = LABEL_FINISH;
        f->why = g_strdup_printf("its deletion was cut off: gone from %s, still on %s", missing, there);
    } else if (force) {
        f->remedy = LABEL_DROP;
        f->why = g_strdup_printf("given up by force: its labels on %s are freed", there);
    } else
        f->why = g_strdup_printf(
            "its label is %s %s, which no loss of power alone does: was a DIMM exchanged, or are its labels "
            "damaged? `pmemctl labels repair --force` gives it up, if its content is not needed",
            bad[0] ? "doubled or damaged on" : "no more to be had on", bad[0] ? bad : missing);
}

static void look_at_uuid(LabelCheck *check, guint number, sd_id128_t uuid, bool force) {
    LabelSet *set = check->sets->pdata[number];
    LabelFinding *f = g_new0(LabelFinding, 1);
    Label like = { .slot = 0 };
    bool any = false;

    f->set = number;
    f->uuid = uuid;
    f->ours = true;
    for (guint p = 0; p < set->n_positions; p++) {
        const LabelDimm *dimm = dimm_at(check, set, p);
        Label first = { .slot = 0 };

        if (!dimm || dimm->fault) {
            f->missing |= UINT32_C(1) << p;
            continue;
        }
        look_at_position(set, dimm, p, f, &first);
        if (!any && f->present & UINT32_C(1) << p) {
            like = first;
            any = true;
        }
    }
    memcpy(f->name, like.name, sizeof f->name);
    f->ours = f->ours && any;
    if (!f->missing && !f->doubled && !f->damaged) {
        set->whole++;
        set->updating += f->updating != 0;
        finding_free(f);
        return;
    }
    decide(check, set, &like, force, f);
    g_ptr_array_add(check->findings, f);
}

static void look_at_set(LabelCheck *check, guint number, bool force) {
    const LabelSet *set = check->sets->pdata[number];
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);
    Label label;

    for (guint p = 0; p < set->n_positions; p++) {
        const LabelDimm *dimm = dimm_at(check, set, p);

        for (uint32_t slot = 0; dimm && !dimm->fault && slot < dimm->area.n_slots; slot++)
            if (label_area_in_use(&dimm->area, slot) && label_area_decode(&dimm->area, slot, &label) == LABEL_OK &&
                label.cookie == set->cookie &&
                g_hash_table_add(seen, g_bytes_new(label.uuid.bytes, sizeof label.uuid.bytes)))
                look_at_uuid(check, number, label.uuid, force);
    }
}

void label_check_run(LabelCheck *check, bool force) {
    for (guint i = 0; i < check->sets->len; i++)
        look_at_set(check, i, force);
}

guint label_check_count(const LabelCheck *check, LabelRemedy remedy) {
    guint n = 0;

    for (guint i = 0; i < check->findings->len; i++)
        n += ((const LabelFinding *) check->findings->pdata[i])->remedy == remedy;
    return n;
}

/* --- the repair --------------------------------------------------------------------------------------------------- */

static void add_change(GArray *changes, uint32_t slot, bool use) {
    const LabelChange change = { slot, use };

    g_array_append_val(changes, change);
}

/* What a finding changes on one DIMM. */
static void add_changes(const LabelCheck *check, const LabelFinding *f, guint number, GArray *changes) {
    const LabelSet *set = check->sets->pdata[f->set];
    const LabelDimm *dimm = check->dimms->pdata[number];
    Label label;

    for (guint p = 0; p < set->n_positions; p++) {
        if (set->dimms[p] != number)
            continue;
        if (f->remedy == LABEL_FINISH && f->missing & UINT32_C(1) << p)
            add_change(changes, f->slots[p], true);
        for (uint32_t slot = 0; f->remedy == LABEL_DROP && slot < dimm->area.n_slots; slot++)
            if (label_area_in_use(&dimm->area, slot) && label_area_has_uuid(&dimm->area, slot, f->uuid) &&
                label_area_decode(&dimm->area, slot, &label) == LABEL_OK && is_of(set, f->uuid, &label))
                add_change(changes, slot, false);
    }
}

GPtrArray *label_check_plan(const LabelCheck *check) {
    GPtrArray *plan = g_ptr_array_new_with_free_func(write_free);

    for (guint i = 0; i < check->dimms->len; i++) {
        const LabelDimm *dimm = check->dimms->pdata[i];
        g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(LabelChange));

        for (guint k = 0; !dimm->fault && k < check->findings->len; k++)
            add_changes(check, check->findings->pdata[k], i, changes);
        if (changes->len == 0)
            continue;
        LabelWrite *write = g_new0(LabelWrite, 1);
        write->dimm = i;
        write->len = dimm->area.index_size;
        write->bytes = label_area_next_index(&dimm->area, (const LabelChange *) (const void *) changes->data,
                                             changes->len, &write->offset);
        g_ptr_array_add(plan, write);
    }
    return plan;
}

const char *label_remedy_to_string(LabelRemedy remedy) {
    static const char *const names[] = { "finish", "drop", "leave" };

    return names[remedy];
}
