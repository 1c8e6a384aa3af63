/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * usage: bench-journal mapped|file FOLDER ROUNDS
 *        bench-journal replay FOLDER RECORDS ROUNDS
 *
 * mapped, file: one durable append of a 128-byte record by pmemd's journal, against the floor of the medium (libpmem's
 * pmem_memcpy_persist; pwrite + fdatasync) and against libpmemlog, SQLite (WAL, synchronous=FULL) and LMDB.
 * replay: RECORDS data regions of a log, replayed by the journal alone and into the model of the host, against the
 * checksum of the same bytes alone. All files are made in FOLDER and removed.
 */
#include "daemon/crc32c.h"
#include "daemon/journal.h"
#include "daemon/state.h"
#include "proto/error.h"
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <libpmem.h>
#include <libpmemlog.h>
#include <lmdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD 128u
#define FLOOR_BYTES (UINT64_C(64) << 20)

typedef struct {
    const char *folder;
    bool mapped;
    int appends; /* a round's, of the fast contestants */
    int slow_appends;
    uint8_t record[RECORD];

    Medium *medium;
    Journal *journal;
    uint8_t *floor;
    int floor_fd;
    uint64_t floor_at;
    PMEMlogpool *log;
    sqlite3 *sqlite;
    sqlite3_stmt *insert;
    MDB_env *lmdb;
    MDB_dbi dbi;
    uint64_t key;
} Commit;

static char *path_in(const char *folder, const char *name) {
    return g_build_filename(folder, name, NULL);
}

static double us_each(uint64_t start, int n) {
    return (double) (bench_now() - start) / 1e3 / n;
}

static Medium *open_medium(const char *folder, uint64_t bytes, bool mapped, bool preallocate) {
    g_autofree char *path = path_in(folder, "journal");
    g_autoptr(GError) error = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    bench_require(fd >= 0 && ftruncate(fd, (off_t) bytes) == 0, path, NULL);
    bench_require(!preallocate || posix_fallocate(fd, 0, (off_t) bytes) == 0, path, NULL);
    Medium *medium = mapped ? medium_mapped_new(fd, bytes, true, &error) : medium_file_new(fd, bytes, &error);
    bench_require(medium != NULL, path, error);
    return medium;
}

static JfSuperblock make_journal(Medium *medium, uint32_t max_regions) {
    JfSuperblock sb = {
        .journal_uuid = SD_ID128_MAKE(a1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 01),
        .member_uuid = SD_ID128_MAKE(b1, 22, 33, 44, 55, 66, 77, 88, 99, aa, bb, cc, dd, ee, ff, 02),
        .major = JF_MAJOR,
        .range = { 0x100000, 0x100000 + medium->size / PMEMD_FRAME_SIZE },
    };
    g_autoptr(GError) error = NULL;

    bench_require(
        jf_geometry(medium->size, 65536, medium->class == MEDIUM_CLASS_MAPPED ? 64 : 512, max_regions, &sb.geo, NULL),
        "geometry", NULL);
    bench_require(journal_create(medium, &sb, NULL, NULL, &error), "journal", error);
    return sb;
}

static bool apply_none(const JournalRecord *record, void *data, GError **error) {
    (void) record;
    (void) error;
    ++*(uint64_t *) data;
    return true;
}

/* --- commit --- */

static double round_pmemd(void *data) {
    Commit *c = data;
    g_autoptr(GError) error = NULL;
    uint64_t start = bench_now();

    for (int i = 0; i < c->appends; i++)
        if (!journal_append(c->journal, JF_NOTE, 0, c->record, RECORD - JF_RECORD_MIN, NULL, &error))
            bench_require(false, "append", error);
    return us_each(start, c->appends);
}

static double round_libpmem(void *data) {
    Commit *c = data;
    uint64_t start = bench_now();

    for (int i = 0; i < c->appends; i++) {
        pmem_memcpy_persist(c->floor + c->floor_at, c->record, RECORD);
        c->floor_at = (c->floor_at + RECORD) % FLOOR_BYTES;
    }
    return us_each(start, c->appends);
}

static double round_pwrite(void *data) {
    Commit *c = data;
    uint8_t sector[512] = { 0 };
    uint64_t start = bench_now();

    memcpy(sector, c->record, RECORD);
    for (int i = 0; i < c->appends; i++) {
        bench_require(pwrite(c->floor_fd, sector, sizeof sector, (off_t) c->floor_at) == (ssize_t) sizeof sector &&
                          fdatasync(c->floor_fd) == 0,
                      "pwrite", NULL);
        c->floor_at = (c->floor_at + sizeof sector) % FLOOR_BYTES;
    }
    return us_each(start, c->appends);
}

static double round_pmemlog(void *data) {
    const Commit *c = data;

    pmemlog_rewind(c->log);
    uint64_t start = bench_now();
    for (int i = 0; i < c->appends; i++)
        bench_require(pmemlog_append(c->log, c->record, RECORD) == 0, "pmemlog_append", NULL);
    return us_each(start, c->appends);
}

static double round_sqlite(void *data) {
    const Commit *c = data;
    uint64_t start = bench_now();

    for (int i = 0; i < c->slow_appends; i++) {
        bench_require(sqlite3_bind_blob(c->insert, 1, c->record, RECORD, SQLITE_STATIC) == SQLITE_OK &&
                          sqlite3_step(c->insert) == SQLITE_DONE && sqlite3_reset(c->insert) == SQLITE_OK,
                      sqlite3_errmsg(c->sqlite), NULL);
    }
    return us_each(start, c->slow_appends);
}

static double round_lmdb(void *data) {
    Commit *c = data;
    uint64_t start = bench_now();

    for (int i = 0; i < c->slow_appends; i++) {
        MDB_val key = { sizeof c->key, &c->key }, value = { RECORD, c->record };
        MDB_txn *txn;

        bench_require(mdb_txn_begin(c->lmdb, NULL, 0, &txn) == 0 &&
                          mdb_put(txn, c->dbi, &key, &value, MDB_APPEND) == 0 && mdb_txn_commit(txn) == 0,
                      "LMDB", NULL);
        c->key++;
    }
    return us_each(start, c->slow_appends);
}

static void open_floor(Commit *c) {
    g_autofree char *path = path_in(c->folder, "floor");
    g_autofree uint8_t *zeros = g_malloc0(1 << 20);

    c->floor_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bench_require(c->floor_fd >= 0, path, NULL);
    for (uint64_t at = 0; at < FLOOR_BYTES; at += 1 << 20)
        bench_require(pwrite(c->floor_fd, zeros, 1 << 20, (off_t) at) == 1 << 20, path, NULL);
    bench_require(fsync(c->floor_fd) == 0, path, NULL);
    if (c->mapped) {
        c->floor = pmem_map_file(path, 0, 0, 0, NULL, NULL);
        bench_require(c->floor != NULL, "pmem_map_file", NULL);
        memset(c->floor, 0, FLOOR_BYTES);
    }
}

static void open_sqlite(Commit *c) {
    g_autofree char *path = path_in(c->folder, "sqlite");

    bench_require(sqlite3_open(path, &c->sqlite) == SQLITE_OK &&
                      sqlite3_exec(c->sqlite,
                                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                   "CREATE TABLE record (id INTEGER PRIMARY KEY, bytes BLOB)",
                                   NULL, NULL, NULL) == SQLITE_OK &&
                      sqlite3_prepare_v2(c->sqlite, "INSERT INTO record (bytes) VALUES (?)", -1, &c->insert, NULL) ==
                          SQLITE_OK,
                  sqlite3_errmsg(c->sqlite), NULL);
}

static void open_lmdb(Commit *c) {
    g_autofree char *path = path_in(c->folder, "lmdb");
    MDB_txn *txn;

    bench_require(mdb_env_create(&c->lmdb) == 0 && mdb_env_set_mapsize(c->lmdb, 256 << 20) == 0 &&
                      mdb_env_open(c->lmdb, path, MDB_NOSUBDIR, 0600) == 0 &&
                      mdb_txn_begin(c->lmdb, NULL, 0, &txn) == 0 &&
                      mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &c->dbi) == 0 && mdb_txn_commit(txn) == 0,
                  path, NULL);
}

static void remove_files(const char *folder) {
    static const char *const names[] = { "journal",    "floor",      "pmemlog", "sqlite",
                                         "sqlite-wal", "sqlite-shm", "lmdb",    "lmdb-lock" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = path_in(folder, names[i]);

        (void) g_unlink(path);
    }
}

static void commit(const char *folder, bool mapped, int rounds) {
    Commit c = {
        .folder = folder, .mapped = mapped, .appends = mapped ? 20000 : 200, .slow_appends = mapped ? 1000 : 100
    };
    g_autofree char *log_path = path_in(folder, "pmemlog");
    g_autoptr(GError) error = NULL;
    uint64_t applied = 0;

    for (size_t i = 0; i < RECORD; i++)
        c.record[i] = (uint8_t) (i + 1);
    c.medium = open_medium(folder, UINT64_C(128) << 20, mapped, true);
    make_journal(c.medium, 100000);
    c.journal = journal_open(c.medium, true, apply_none, &applied, &error);
    bench_require(c.journal != NULL && journal_verdict(c.journal) == JOURNAL_CLEAN, "journal", error);
    open_floor(&c);
    open_sqlite(&c);
    open_lmdb(&c);
    if (mapped) {
        c.log = pmemlog_create(log_path, PMEMLOG_MIN_POOL + 4 * (size_t) c.appends * RECORD, 0600);
        bench_require(c.log != NULL, "pmemlog_create", NULL);
    }

    const Contestant on_memory[] = {
        { "pmemd", round_pmemd, &c },   { "libpmem", round_libpmem, &c }, { "libpmemlog", round_pmemlog, &c },
        { "SQLite", round_sqlite, &c }, { "LMDB", round_lmdb, &c },
    };
    const Contestant on_file[] = {
        { "pmemd", round_pmemd, &c },
        { "pwrite + fdatasync", round_pwrite, &c },
        { "SQLite", round_sqlite, &c },
        { "LMDB", round_lmdb, &c },
    };
    if (mapped)
        bench_contest("commit mapped", "us", on_memory, G_N_ELEMENTS(on_memory), rounds);
    else
        bench_contest("commit file", "us", on_file, G_N_ELEMENTS(on_file), rounds);

    journal_free(c.journal);
    medium_free(c.medium);
    if (c.floor)
        pmem_unmap(c.floor, FLOOR_BYTES);
    close(c.floor_fd);
    if (c.log)
        pmemlog_close(c.log);
    sqlite3_finalize(c.insert);
    sqlite3_close(c.sqlite);
    mdb_env_close(c.lmdb);
}

/* --- replay --- */

typedef struct {
    Medium *medium;
    JfSuperblock sb;
    uint64_t records;
    uint64_t log_bytes;
    uint32_t sum;
} Replay;

static double ms_since(uint64_t start) {
    return (double) (bench_now() - start) / 1e6;
}

static double round_journal(void *data) {
    const Replay *r = data;
    g_autoptr(GError) error = NULL;
    uint64_t applied = 0, start = bench_now();
    Journal *j = journal_open(r->medium, false, apply_none, &applied, &error);
    double figure = ms_since(start);

    bench_require(j && journal_verdict(j) == JOURNAL_CLEAN && applied == r->records, "replay", error);
    journal_free(j);
    return figure;
}

typedef struct {
    State *state;
    Pool *pool;
} Model;

static bool apply_model(const JournalRecord *record, void *data, GError **error) {
    const Model *model = data;

    return state_apply(model->state, model->pool, record->type, record->txid, record->payload, record->len, error);
}

static double round_model(void *data) {
    const Replay *r = data;
    g_autoptr(GError) error = NULL;
    Raw *raw = raw_new("raw", (FrameRange){ 0, PMEMD_FRAME_LIMIT });
    Model model = { .state = state_new() };

    raw->cookie = r->sb.raw_cookie;
    bench_require(state_add_raw(model.state, raw), "raw", NULL);
    model.pool = state_add_pool(model.state, &r->sb, r->sb.range, POOL_OK, &error);
    bench_require(model.pool != NULL, "pool", error);
    uint64_t start = bench_now();
    state_begin_replay(model.pool);
    Journal *j = journal_open(r->medium, false, apply_model, &model, &error);
    bench_require(j && journal_verdict(j) == JOURNAL_CLEAN && state_end_replay(model.state, model.pool, &error) &&
                      state_count_regions(model.state) == r->records,
                  "replay", error);
    double figure = ms_since(start);
    journal_free(j);
    state_free(model.state);
    return figure;
}

static double round_crc(void *data) {
    Replay *r = data;
    const uint8_t *base = medium_base(r->medium);
    uint64_t start = bench_now();

    r->sum += crc32c(0, base + r->sb.geo.area_off[0], (size_t) r->log_bytes);
    return ms_since(start);
}

static void replay(const char *folder, uint64_t records, int rounds) {
    /* A frame of management extent for each region, behind the journal; the file is sparse. */
    uint64_t bytes = (UINT64_C(4) << 30) + records * PMEMD_FRAME_SIZE;
    Replay r = { .medium = open_medium(folder, bytes, true, false), .records = records };
    g_autofree uint32_t *order = bench_shuffled((uint32_t) records);
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("replay %" G_GUINT64_FORMAT, records);
    uint64_t applied = 0, seed = 1;

    r.sb = make_journal(r.medium, (uint32_t) MAX(records, 1024));
    Journal *j = journal_open(r.medium, true, apply_none, &applied, &error);
    bench_require(j != NULL, "journal", error);
    uint64_t before = journal_log_bytes(j), extents = r.sb.range.start + r.sb.geo.mgmt_off / PMEMD_FRAME_SIZE;
    for (uint64_t i = 0; i < records; i++) {
        uint8_t buf[JF_PAYLOAD_MAX];
        uint64_t start = (UINT64_C(1) << 32) + order[i] * UINT64_C(1024);
        JfRegion region = {
            .region_uuid = { .qwords = { bench_random(&seed), bench_random(&seed) } },
            .device_uuid = { .qwords = { bench_random(&seed), bench_random(&seed) } },
            .range = { start, start + 512 },
            .device_start = start,
            .extent = { extents + order[i], extents + order[i] + 1 },
            .time = i,
            .user = "root",
        };

        if (!journal_append(j, JF_ADD, 0, buf, jf_region_encode(&region, buf), NULL, &error))
            bench_require(false, "append", error);
    }
    r.log_bytes = before - journal_log_bytes(j);
    journal_free(j);

    Contestant contestants[] = {
        { "journal", round_journal, &r },
        { "journal and model", round_model, &r },
        { "CRC32C", round_crc, &r },
    };
    bench_contest(name, "ms", contestants, G_N_ELEMENTS(contestants), rounds);
    medium_free(r.medium);
}

int main(int argc, char **argv) {
    bool is_replay = argc == 5 && g_str_equal(argv[1], "replay");

    bench_require(is_replay || (argc == 4 && (g_str_equal(argv[1], "mapped") || g_str_equal(argv[1], "file"))),
                  "usage: bench-journal mapped|file FOLDER ROUNDS | replay FOLDER RECORDS ROUNDS", NULL);
    /* The peers are to treat /dev/shm as the persistent memory that it stands for, as pmemd does. */
    g_setenv("PMEM_IS_PMEM_FORCE", "1", true);
    remove_files(argv[2]);
    if (is_replay)
        replay(argv[2], (uint64_t) bench_number(argv[3]), bench_number(argv[4]));
    else
        commit(argv[2], g_str_equal(argv[1], "mapped"), bench_number(argv[3]));
    remove_files(argv[2]);
    return EXIT_SUCCESS;
}
