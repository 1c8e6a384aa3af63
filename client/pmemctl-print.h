/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * Output: one table of columns a struct of libpmemd.h gives the table, the list of one region's fields, and the JSON.
 * The JSON is a contract: proto/pmemctl.schema.json. Prints to the stream it is given, and nowhere else.
 */
#pragma once

#include <json-glib/json-glib.h>
#include <stdio.h>

#include "client/libpmemd.h"
#include "client/restore.h"

#define PRINT_JSON_VERSION 1

typedef struct Column Column;

/* One row of locate: the location of a byte. */
typedef struct {
    PmemdLocation shown;     /* its offset is the byte's; texts are location's */
    PmemdLocation *location; /* as it was answered */
    uint64_t address;
} LocationRow;

/* One row of import: what becomes of a raw region. */
typedef struct {
    const char *was_id, *id, *by; /* id "": none */
    PmemdRange was, now;
} RestoreRawRow;
/* One row of the list of data regions: who holds it stands in another list. */
typedef struct {
    PmemdData shown; /* texts are data's */
    PmemdData *data; /* as it was answered */
    char *lease_owner;
} DataRow;

/* The columns of PmemdRaw, ...; static. */
const Column *columns_raw(void);
const Column *columns_mgmt(void);
const Column *columns_data(void); /* of DataRow */
const Column *columns_foreign(void);
const Column *columns_location(void);                    /* of LocationRow */
const Column *columns_restore(void);                     /* of RestoreItem */
const Column *columns_restore_raw(void);                 /* of RestoreRawRow */
const Column *columns_region(const PmemdRegion *region); /* those that its kind has */
const Column *columns_dimm(void);
const Column *columns_lost(void);
const Column *columns_plan(bool data); /* with the columns that only data regions have, or without */
const Column *columns_status(void);
const Column *columns_lease(void);
const Column *columns_libvirt_pool(void);
const Column *columns_attachment(void);

/* Those of the columns whose keys are given, in the order of the keys; keys NULL: those that tables usually have. Free:
 * g_ptr_array_unref. */
GPtrArray *columns_choose(const Column *columns, const char *const *keys);
/* "TITLE: 2" and the rows, aligned. shown: from columns_choose. rows: structs of the columns' type. title NULL: the rows
 * alone, without heads. */
void print_table(FILE *out, const char *title, const GPtrArray *shown, const GPtrArray *rows);
/* A line a field. */
void print_record(FILE *out, const Column *columns, const void *row);
/* The value of one column as people read it: hexadecimal frames, sizes with units. NULL: no such key. Free: g_free. */
char *print_field(const Column *columns, const char *key, const void *row);

/* All columns by their keys. Free: json_object_unref, json_array_unref. */
JsonObject *json_from_row(const Column *columns, const void *row);
JsonArray *json_from_rows(const Column *columns, const GPtrArray *rows);
/* {"version": 1}. Free: json_object_unref. */
JsonObject *json_document_new(void);
/* Takes the document. pretty: indented; else in one line. Ends with a newline. */
void json_document_print(FILE *out, JsonObject *document, bool pretty);
