/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/backend-ndctl-repair.h"

#include "daemon/backend-ndctl-facts.h"
#include "daemon/backend-ndctl-label-io.h"
#include "daemon/backend-ndctl-seed.h"
#include "daemon/log.h"
#include "proto/error.h"
#include "proto/one-line.h"

#include <string.h>

/* --- looking ------------------------------------------------------------------------------------------------------ */

static bool region_has_dimm(struct ndctl_region *region, const char *name) {
    struct ndctl_dimm *dimm;

    ndctl_dimm_foreach_in_region(region, dimm)
        if (strcmp(ndctl_dimm_get_devname(dimm), name) == 0)
            return true;
    return false;
}

static guint add_dimm(LabelCheck *check, const char *name, bool quick) {
    g_autoptr(GError) error = NULL;
    size_t size;

    for (guint i = 0; i < check->dimms->len; i++)
        if (strcmp(((const LabelDimm *) check->dimms->pdata[i])->name, name) == 0)
            return i;
    uint8_t *bytes = nd_label_io_read(name, !quick, &size, &error);
    return bytes ? label_check_add_dimm(check, name, bytes, size) : label_check_add_unreadable(check, name, error);
}

/* A label's position is the number of the region's mapping; what the kernel shows as the position of a mapping is that in
 * the interleave set, which may be another. */
static void add_region(LabelCheck *check, struct ndctl_region *region, bool quick) {
    const char *name = ndctl_region_get_devname(region);
    g_autofree char *cookie = nd_sysfs_read("bus/nd/devices/%s/set_cookie", name);
    unsigned ways = ndctl_region_get_mappings(region);
    guint dimms[LABEL_SET_MAX];

    if (!cookie || ways == 0 || ways > LABEL_SET_MAX)
        return;
    for (guint i = 0; i < ways; i++) {
        g_autofree char *mapping = nd_sysfs_read("bus/nd/devices/%s/mapping%u", name, i);

        if (!mapping)
            return;
        mapping[strcspn(mapping, ",")] = '\0';
        dimms[i] = add_dimm(check, mapping, quick);
    }
    label_check_add_set(check, name, g_ascii_strtoull(cookie, NULL, 0), dimms, ways);
}

LabelCheck *nd_repair_check(const char *only, bool quick, bool force, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    g_autoptr(LabelCheck) check = label_check_new();
    struct ndctl_region *region = NULL;

    if (!context)
        return NULL;
    nd_context_wait(context);
    while ((region = nd_context_next_region(context, region)))
        if ((!quick || ndctl_region_get_mappings(region) > 1) && nd_region_has_labels(region) &&
            (!only || strcmp(ndctl_region_get_devname(region), only) == 0 || region_has_dimm(region, only)))
            add_region(check, region, quick);
    if (only && check->sets->len == 0) {
        g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_NO_SUCH_REGION,
                    "%s is neither a region with labels nor a DIMM of one", only);
        return NULL;
    }
    label_check_run(check, force);
    return g_steal_pointer(&check);
}

/* --- repairing ---------------------------------------------------------------------------------------------------- */

/* DIMMs and regions by name: contexts are short-lived. */
typedef struct {
    GPtrArray *dimms, *off, *on; /* char *: to be written; regions that were disabled for it; to be enabled after it */
} Repair;

static void repair_clear(Repair *r) {
    g_ptr_array_unref(r->dimms);
    g_ptr_array_unref(r->off);
    g_ptr_array_unref(r->on);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Repair, repair_clear)

static bool is_in(const GPtrArray *names, const char *name) {
    for (guint i = 0; i < names->len; i++)
        if (strcmp(names->pdata[i], name) == 0)
            return true;
    return false;
}

static void add_name(GPtrArray *names, const char *name) {
    if (!is_in(names, name))
        g_ptr_array_add(names, g_strdup(name));
}

static bool is_affected(const Repair *r, struct ndctl_region *region) {
    struct ndctl_dimm *dimm;

    ndctl_dimm_foreach_in_region(region, dimm)
        if (is_in(r->dimms, ndctl_dimm_get_devname(dimm)))
            return true;
    return false;
}

/* Whether an enabled region can be disabled for a moment and nobody minds. */
static bool check_idle(struct ndctl_region *region, const NdBusy *busy, GError **error) {
    const char *name = ndctl_region_get_devname(region);
    struct ndctl_namespace *ndns;

    ndctl_namespace_foreach(region, ndns) {
        g_autoptr(BackendDevice) d = nd_facts_device(ndns, busy);

        if (!d || !(d->path || ndctl_namespace_is_active(ndns)))
            continue;
        if (d->role == BACKEND_ROLE_NONE) {
            g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY,
                        "%s is enabled, and its %s is not pmemd's: stop what uses it, `ndctl disable-region %s`, then "
                        "`pmemctl labels repair`",
                        name, d->name, name);
            return false;
        }
        if (!nd_facts_check_unused(ndns, d, busy, error) || d->held) {
            if (error && !*error)
                g_set_error(error, PMEMD_ERROR, PMEMD_ERROR_BUSY, "%s in %s is in use", d->name, name);
            g_prefix_error(error, "%s must be disabled to repair its labels: ", name);
            return false;
        }
    }
    return true;
}

static bool stop_regions(Repair *r, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    g_autoptr(NdBusy) busy = nd_busy_new();
    g_autoptr(GPtrArray) enabled = g_ptr_array_new();
    struct ndctl_bus *bus;
    struct ndctl_region *region;

    if (!context)
        return false;
    ndctl_bus_foreach(nd_context_get(context), bus)
        ndctl_region_foreach(bus, region)
            if (is_affected(r, region) && ndctl_region_is_enabled(region)) {
                if (!check_idle(region, busy, error))
                    return false;
                g_ptr_array_add(enabled, region);
            }
    for (guint i = 0; i < enabled->len; i++) {
        int rc = ndctl_region_disable_preserve(enabled->pdata[i]);
        const char *name = ndctl_region_get_devname(enabled->pdata[i]);

        if (rc < 0) {
            nd_context_error(context, error, rc, "cannot disable %s to repair its labels", name);
            return false;
        }
        add_name(r->off, name);
    }
    return true;
}

/* The kernel reads labels when it binds a DIMM, and never again. */
static bool cycle_dimms(const Repair *r, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    struct ndctl_bus *bus;
    struct ndctl_dimm *dimm;

    if (!context)
        return false;
    ndctl_bus_foreach(nd_context_get(context), bus)
        ndctl_dimm_foreach(bus, dimm) {
            if (!is_in(r->dimms, ndctl_dimm_get_devname(dimm)))
                continue;
            int rc = ndctl_dimm_is_enabled(dimm) ? ndctl_dimm_disable(dimm) : 0;
            if (rc >= 0)
                rc = ndctl_dimm_enable(dimm);
            if (rc < 0) {
                nd_context_error(context, error, rc, "cannot restart %s with its labels", ndctl_dimm_get_devname(dimm));
                return false;
            }
        }
    return true;
}

/* All are tried; the first error is told. */
static bool start_regions(const Repair *r, GError **error) {
    g_autoptr(NdContext) context = nd_context_new(error);
    g_autoptr(GError) first = NULL;
    struct ndctl_bus *bus;
    struct ndctl_region *region;

    if (!context)
        return false;
    ndctl_bus_foreach(nd_context_get(context), bus)
        ndctl_region_foreach(bus, region) {
            const char *name = ndctl_region_get_devname(region);

            if ((!is_in(r->on, name) && !is_in(r->off, name)) || ndctl_region_is_enabled(region))
                continue;
            int rc = ndctl_region_enable(region);
            if (rc < 0 && !first)
                nd_context_error(context, &first, rc, "cannot enable %s again", name);
        }
    nd_seed_free_all();
    if (!first)
        return true;
    g_propagate_error(error, g_steal_pointer(&first));
    return false;
}

static bool write_plan(const LabelCheck *check, const GPtrArray *plan, GError **error) {
    for (guint i = 0; i < plan->len; i++) {
        const LabelWrite *write = plan->pdata[i];
        const LabelDimm *dimm = check->dimms->pdata[write->dimm];

        if (!nd_label_io_write(dimm->name, write->offset, write->bytes, write->len, error))
            return false;
    }
    return true;
}

/* With the regions off, nobody changes labels any more: what was found is looked at again. */
static LabelCheck *repair_stopped(const char *only, bool force, GError **error) {
    g_autoptr(LabelCheck) check = nd_repair_check(only, false, force, error);
    if (!check)
        return NULL;
    g_autoptr(GPtrArray) plan = label_check_plan(check);

    return write_plan(check, plan, error) ? g_steal_pointer(&check) : NULL;
}

LabelCheck *nd_repair(const char *only, bool force, GError **error) {
    g_autoptr(LabelCheck) before = nd_repair_check(only, false, force, error);
    if (!before)
        return NULL;
    g_autoptr(GPtrArray) plan = label_check_plan(before);
    g_auto(Repair) r = {
        .dimms = g_ptr_array_new_with_free_func(g_free),
        .off = g_ptr_array_new_with_free_func(g_free),
        .on = g_ptr_array_new_with_free_func(g_free),
    };
    g_autoptr(GError) first = NULL;

    if (plan->len == 0)
        return g_steal_pointer(&before);
    /* All DIMMs of the sets, also those not written: the kernel has to read the set anew. */
    for (guint i = 0; i < before->findings->len; i++) {
        const LabelFinding *f = before->findings->pdata[i];
        const LabelSet *set = before->sets->pdata[f->set];

        for (guint p = 0; f->remedy != LABEL_LEAVE && p < set->n_positions; p++)
            add_name(r.dimms, ((const LabelDimm *) before->dimms->pdata[set->dimms[p]])->name);
        if (f->remedy != LABEL_LEAVE)
            add_name(r.on, set->name);
    }
    g_autoptr(LabelCheck) done = NULL;
    if (stop_regions(&r, &first)) {
        done = repair_stopped(only, force, &first);
        cycle_dimms(&r, first ? NULL : &first);
    } else
        g_ptr_array_set_size(r.on, 0);
    start_regions(&r, first ? NULL : &first);
    if (!first)
        return g_steal_pointer(&done);
    g_propagate_error(error, g_steal_pointer(&first));
    return NULL;
}

/* --- at the start ------------------------------------------------------------------------------------------------- */

static void tell(Event event, const char *region, const LabelFinding *f, const char *does, const char *why) {
    g_autofree char *name = one_line(f->name);
    char uuid[PMEMD_UUID_STRING_MAX];

    pmemd_uuid_format(f->uuid, uuid);
    log_event(event, LOG_FIELDS({ "DEVICE", region }, { "NAME", name }), "labels of %s: namespace %s \"%s\" %s: %s",
              region, uuid, name, does, why);
}

/* One set, which is not whole. NULL: it is now. */
static char *repair_set(const LabelCheck *found, guint number) {
    const LabelSet *set = found->sets->pdata[number];
    g_autoptr(GError) error = NULL;
    g_autofree char *left = NULL;

    for (guint i = 0; i < found->findings->len; i++) {
        const LabelFinding *f = found->findings->pdata[i];

        if (f->set != number || f->remedy != LABEL_LEAVE)
            continue;
        tell(EVENT_LABELS_NOT_WHOLE, set->name, f, "is not whole", f->why);
        if (!left)
            left = g_strdup_printf("the labels of its DIMMs do not agree (`pmemctl labels check`): %s", f->why);
    }
    if (left)
        return g_steal_pointer(&left);
    g_autoptr(LabelCheck) done = nd_repair(set->name, false, &error);
    for (guint i = 0; i < found->findings->len; i++) {
        const LabelFinding *f = found->findings->pdata[i];

        if (f->set == number)
            tell(done ? EVENT_LABELS_REPAIRED : EVENT_LABELS_NOT_WHOLE, set->name, f,
                 !done                       ? "is not whole and could not be repaired"
                 : f->remedy == LABEL_FINISH ? "has its labels again"
                                             : "was dropped",
                 done ? f->why : error->message);
    }
    return done ? NULL : g_strdup_printf("the labels of its DIMMs could not be repaired: %s", error->message);
}

GHashTable *nd_repair_at_start(void) {
    GHashTable *broken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(LabelCheck) quick = nd_repair_check(NULL, true, false, &error);
    g_autoptr(LabelCheck) found =
        quick && quick->findings->len > 0 ? nd_repair_check(NULL, false, false, &error) : NULL;

    if (error)
        g_warning("cannot check the labels of interleave sets: %s, ignoring", error->message);
    for (guint i = 0; found && i < found->sets->len; i++) {
        bool whole = true;

        for (guint k = 0; whole && k < found->findings->len; k++)
            whole = ((const LabelFinding *) found->findings->pdata[k])->set != i;
        char *why = whole ? NULL : repair_set(found, i);
        if (why)
            g_hash_table_insert(broken, g_strdup(((const LabelSet *) found->sets->pdata[i])->name), why);
    }
    return broken;
}
