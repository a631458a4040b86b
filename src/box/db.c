#include "box/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/json.h"

#define DB_GENERATION 1
#define BUSY_TIMEOUT_MS 10000
#define LOG_LONG (512 * 1024) /* bytes; read in less than a millisecond, and worth two fsyncs every 40 boxes or so */

struct db {
	sqlite3 *sql;
};

static const char schema[] =
	"CREATE TABLE images ("
	" reference TEXT PRIMARY KEY, manifest TEXT NOT NULL, config TEXT NOT NULL, rootfs TEXT NOT NULL,"
	" rootfs_bytes INTEGER NOT NULL, blob_bytes INTEGER NOT NULL, blobs TEXT NOT NULL,"
	" config_json TEXT NOT NULL, created_at INTEGER NOT NULL, pulled_at INTEGER NOT NULL) STRICT;"
	"CREATE TABLE boxes ("
	" id TEXT PRIMARY KEY, name TEXT UNIQUE, image TEXT NOT NULL, rootfs TEXT NOT NULL, spec TEXT NOT NULL,"
	" created_at INTEGER NOT NULL, auto_remove INTEGER NOT NULL) STRICT;"
	"PRAGMA user_version = 1;";

static int code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_NOMEM: return -ENOMEM;
	case SQLITE_BUSY: return -EBUSY;
	case SQLITE_FULL: return -ENOSPC;
	case SQLITE_READONLY: return -EROFS;
	case SQLITE_CONSTRAINT: return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return -EBADMSG;
	default: return -EIO;
	}
}

static int fail(struct db *db, int rc, struct error *err)
{
	return error_set(err, code_of(rc), "the database boxlite.db: %s",
			 db->sql ? sqlite3_errmsg(db->sql) : sqlite3_errstr(rc));
}

/* A number that a PRAGMA returns. */
static int pragma(struct db *db, const char *text, int *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db->sql, text, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && ret)
		*ret = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Makes the tables. Two processes may come first at the same time: the second finds them made. */
static int create_schema(struct db *db, struct error *err)
{
	int version = 0, rc;

	rc = sqlite3_exec(db->sql, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = pragma(db, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK && version == 0)
		rc = sqlite3_exec(db->sql, schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db->sql, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		int r = fail(db, rc, err);

		sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
		return r;
	}
	return 0;
}

static int set_up(struct db *db, const char *home, struct error *err)
{
	/* SQLite's busy handler does not cover the switch to WAL, which even a reader disturbs: one at a time. */
	auto_fd int lock = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int version = 0, keep = 1, rc = lock < 0 ? -errno : io_lock(lock, LOCK_EX);

	if (rc < 0)
		return error_code(err, rc, "cannot lock the home folder %s", home);
	sqlite3_busy_timeout(db->sql, BUSY_TIMEOUT_MS);
	rc = pragma(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		return fail(db, rc, err);
	if (version > DB_GENERATION)
		return error_set(err, -EPROTO,
				 "boxlite.db is of generation %d, made by a newer boxlite; this one knows %d", version,
				 DB_GENERATION);
	if (version == 0) {
		rc = pragma(db, "PRAGMA journal_mode = WAL", NULL);
		if (rc != SQLITE_OK)
			return fail(db, rc, err);
		if (create_schema(db, err) < 0)
			return err ? err->code : -EIO;
	}
	/* A commit waits for no disk: after a power cut the last ones may be missing, never torn, and the
	 * folders are the truth that the next open compares with. */
	rc = pragma(db, "PRAGMA synchronous = NORMAL", NULL);
	/* The log stays when the last process leaves: no checkpoint, no fsync at every exit. */
	sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return rc == SQLITE_OK ? 0 : fail(db, rc, err);
}

int db_open(const char *home, struct db **ret, struct error *err)
{
	struct db *db = calloc(1, sizeof(*db));
	char *path = sqlite3_mprintf("%s/boxlite.db", home);
	int r = 0, rc;

	if (!db || !path) {
		r = error_nomem(err);
	} else {
		rc = sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
		r = rc == SQLITE_OK ? set_up(db, home, err) : fail(db, rc, err);
	}
	sqlite3_free(path);
	if (r < 0) {
		db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

/*
 * Who comes first after all others have left reads the whole log, and forgets how much of it is in the database
 * already: so with short processes, each of which commits once, it would never begin anew. Whoever finds it long takes
 * it away, unless others are at work; who leaves last is never in that case.
 */
static void shorten_log(struct db *db)
{
	const char *path = sqlite3_db_filename(db->sql, "main");
	struct stat st;

	if (!path || stat(sqlite3_filename_wal(path), &st) < 0 || st.st_size < LOG_LONG)
		return;
	sqlite3_busy_timeout(db->sql, 0);
	sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

void db_close(struct db *db)
{
	if (!db)
		return;
	if (db->sql)
		shorten_log(db);
	sqlite3_close(db->sql);
	free(db);
}

/* --- statements ---------------------------------------------------------------------------- */

static int prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct error *err)
{
	int rc = sqlite3_prepare_v2(db->sql, sql, -1, ret, NULL);

	return rc == SQLITE_OK ? 0 : fail(db, rc, err);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC); /* NULL binds NULL */
}

/* Runs a statement that returns no rows, and finalizes it. */
static int run(struct db *db, sqlite3_stmt *st, struct error *err)
{
	int rc = sqlite3_step(st), r = 0;

	if (rc != SQLITE_DONE)
		r = fail(db, rc, err);
	sqlite3_finalize(st);
	return r;
}

static char *column(sqlite3_stmt *st, int at, bool *nomem)
{
	const char *text = (const char *)sqlite3_column_text(st, at);
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*nomem = true;
	return copy;
}

/* --- images -------------------------------------------------------------------------------- */

#define IMAGE_COLUMNS \
	"reference, manifest, config, rootfs, rootfs_bytes, blob_bytes, blobs, config_json, created_at, pulled_at"

void db_image_fini(struct db_image *i)
{
	free(i->reference);
	free(i->manifest);
	free(i->config);
	free(i->rootfs);
	free(i->config_json);
	strv_fini(&i->blobs);
	*i = DB_IMAGE_INIT;
}

static int read_image(sqlite3_stmt *st, struct db_image *ret, struct error *err)
{
	struct db_image i = DB_IMAGE_INIT;
	bool nomem = false, bad = false;
	auto_json json_t *wrapped = NULL;
	const char *blobs = (const char *)sqlite3_column_text(st, 6);
	json_t *list;
	int r = 0;

	i.reference = column(st, 0, &nomem);
	i.manifest = column(st, 1, &nomem);
	i.config = column(st, 2, &nomem);
	i.rootfs = column(st, 3, &nomem);
	i.rootfs_bytes = (uint64_t)sqlite3_column_int64(st, 4);
	i.blob_bytes = (uint64_t)sqlite3_column_int64(st, 5);
	i.config_json = column(st, 7, &nomem);
	i.created_at = sqlite3_column_int64(st, 8);
	i.pulled_at = sqlite3_column_int64(st, 9);
	list = json_parse(blobs, strlen(blobs), "the list of blobs", NULL);
	wrapped = list ? json_pack("{s:o}", "blobs", list) : NULL;
	if (!nomem)
		r = json_get_strv(wrapped, "blobs", &i.blobs, &bad);
	if (nomem || r < 0 || bad || !wrapped) {
		db_image_fini(&i);
		return nomem || r == -ENOMEM ? error_nomem(err)
					     : error_set(err, -EBADMSG, "boxlite.db: a row of images is damaged");
	}
	*ret = i;
	return 0;
}

int db_image_put(struct db *db, const struct db_image *i, struct error *err)
{
	sqlite3_stmt *st;
	auto_json json_t *list = json_from_strv(&i->blobs);
	char *blobs = list ? json_dumps(list, JSON_COMPACT) : NULL;
	int r;

	if (!blobs)
		return error_nomem(err);
	r = prepare(db, "INSERT OR REPLACE INTO images (" IMAGE_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?)", &st, err);
	if (r == 0) {
		bind_text(st, 1, i->reference);
		bind_text(st, 2, i->manifest);
		bind_text(st, 3, i->config);
		bind_text(st, 4, i->rootfs);
		sqlite3_bind_int64(st, 5, (int64_t)i->rootfs_bytes);
		sqlite3_bind_int64(st, 6, (int64_t)i->blob_bytes);
		bind_text(st, 7, blobs);
		bind_text(st, 8, i->config_json);
		sqlite3_bind_int64(st, 9, i->created_at);
		sqlite3_bind_int64(st, 10, i->pulled_at);
		r = run(db, st, err);
	}
	free(blobs);
	return r;
}

int db_image_get(struct db *db, const char *reference, struct db_image *ret, struct error *err)
{
	sqlite3_stmt *st;
	int rc, r = prepare(db, "SELECT " IMAGE_COLUMNS " FROM images WHERE reference = ?", &st, err);

	if (r < 0)
		return r;
	bind_text(st, 1, reference);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		r = read_image(st, ret, err);
	else if (rc == SQLITE_DONE)
		r = error_set(err, -ENOENT, "no image %s here", reference);
	else
		r = fail(db, rc, err);
	sqlite3_finalize(st);
	return r;
}

int db_image_delete(struct db *db, const char *reference, struct error *err)
{
	sqlite3_stmt *st;
	int r = prepare(db, "DELETE FROM images WHERE reference = ?", &st, err);

	if (r < 0)
		return r;
	bind_text(st, 1, reference);
	return run(db, st, err);
}

int db_image_each(struct db *db, db_image_fn *fn, void *ud, struct error *err)
{
	sqlite3_stmt *st;
	int rc = SQLITE_ROW, r = prepare(db, "SELECT " IMAGE_COLUMNS " FROM images ORDER BY pulled_at DESC, reference",
					 &st, err);

	if (r < 0)
		return r;
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct db_image i = DB_IMAGE_INIT;

		r = read_image(st, &i, err);
		if (r == 0)
			r = fn(&i, ud);
		db_image_fini(&i);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(db, rc, err);
	sqlite3_finalize(st);
	return r;
}

/* --- boxes --------------------------------------------------------------------------------- */

#define BOX_COLUMNS "id, name, image, rootfs, spec, created_at, auto_remove"

void db_box_fini(struct db_box *b)
{
	free(b->id);
	free(b->name);
	free(b->image);
	free(b->rootfs);
	free(b->spec);
	*b = (struct db_box){ 0 };
}

static int read_box(sqlite3_stmt *st, struct db_box *ret, struct error *err)
{
	struct db_box b = { 0 };
	bool nomem = false;

	b.id = column(st, 0, &nomem);
	b.name = column(st, 1, &nomem);
	b.image = column(st, 2, &nomem);
	b.rootfs = column(st, 3, &nomem);
	b.spec = column(st, 4, &nomem);
	b.created_at = sqlite3_column_int64(st, 5);
	b.auto_remove = sqlite3_column_int(st, 6) != 0;
	if (nomem) {
		db_box_fini(&b);
		return error_nomem(err);
	}
	*ret = b;
	return 0;
}

static int name_is_taken(const char *name, struct error *err)
{
	return error_set(err, -EEXIST, "a box is called '%s' already: choose another name, or remove it: boxlite rm %s", name,
			 name);
}

int db_box_add(struct db *db, const struct db_box *b, struct error *err)
{
	sqlite3_stmt *st;
	int r = prepare(db, "INSERT INTO boxes (" BOX_COLUMNS ") VALUES (?,?,?,?,?,?,?)", &st, err);

	if (r < 0)
		return r;
	bind_text(st, 1, b->id);
	bind_text(st, 2, b->name);
	bind_text(st, 3, b->image);
	bind_text(st, 4, b->rootfs);
	bind_text(st, 5, b->spec);
	sqlite3_bind_int64(st, 6, b->created_at);
	sqlite3_bind_int(st, 7, b->auto_remove);
	r = run(db, st, err);
	return r == -EEXIST && b->name ? name_is_taken(b->name, err) : r;
}

int db_box_rename(struct db *db, const char *id, const char *name, struct error *err)
{
	sqlite3_stmt *st;
	int r = prepare(db, "UPDATE boxes SET name = ? WHERE id = ?", &st, err);

	if (r < 0)
		return r;
	bind_text(st, 1, name);
	bind_text(st, 2, id);
	r = run(db, st, err);
	if (r == 0 && sqlite3_changes(db->sql) == 0)
		return error_set(err, -ENOENT, "box %s was removed", id);
	return r == -EEXIST ? name_is_taken(name, err) : r;
}

int db_box_set_spec(struct db *db, const char *id, const char *before, const char *spec, struct error *err)
{
	sqlite3_stmt *st;
	int r = prepare(db, "UPDATE boxes SET spec = ? WHERE id = ? AND spec = ?", &st, err);

	if (r < 0)
		return r;
	bind_text(st, 1, spec);
	bind_text(st, 2, id);
	bind_text(st, 3, before);
	r = run(db, st, err);
	return r < 0 ? r : sqlite3_changes(db->sql) > 0;
}

int db_box_get(struct db *db, const char *id_or_name, struct db_box *ret, struct error *err)
{
	/* An id goes before a name, which may look like one; both before a prefix; of two prefixes neither is meant. */
	static const char sql[] = "SELECT " BOX_COLUMNS ", id = ?1 OR name = ?1 AS exact FROM boxes"
				  " WHERE exact OR substr(id, 1, length(?1)) = ?1 ORDER BY id = ?1 DESC, exact DESC LIMIT 2";
	struct db_box b = { 0 };
	sqlite3_stmt *st;
	int rc, r = prepare(db, sql, &st, err);
	bool exact;

	if (r < 0)
		return r;
	bind_text(st, 1, id_or_name);
	rc = *id_or_name ? sqlite3_step(st) : SQLITE_DONE;
	if (rc == SQLITE_DONE) {
		r = error_set(err, -ENOENT, "no box is called '%s'; 'boxlite ps -a' lists them", id_or_name);
	} else if (rc != SQLITE_ROW) {
		r = fail(db, rc, err);
	} else {
		exact = sqlite3_column_int(st, 7) != 0;
		r = read_box(st, &b, err);
		if (r == 0 && !exact && sqlite3_step(st) == SQLITE_ROW) {
			db_box_fini(&b);
			r = error_set(err, -ENOTUNIQ, "several boxes have an id that begins with '%s'", id_or_name);
		}
	}
	sqlite3_finalize(st);
	if (r == 0)
		*ret = b;
	return r;
}

int db_box_delete(struct db *db, const char *id, struct error *err)
{
	sqlite3_stmt *st;
	int r = prepare(db, "DELETE FROM boxes WHERE id = ?", &st, err);

	if (r < 0)
		return r;
	bind_text(st, 1, id);
	return run(db, st, err);
}

static int read_id(sqlite3_stmt *st, struct db_box *ret, struct error *err)
{
	bool nomem = false;

	*ret = (struct db_box){ .id = column(st, 0, &nomem), .auto_remove = sqlite3_column_int(st, 1) != 0 };
	return nomem ? error_nomem(err) : 0;
}

typedef int read_fn(sqlite3_stmt *st, struct db_box *ret, struct error *err);

static int each_box(struct db *db, const char *sql, read_fn *read, db_box_fn *fn, void *ud, struct error *err)
{
	sqlite3_stmt *st;
	int rc = SQLITE_ROW, r = prepare(db, sql, &st, err);

	if (r < 0)
		return r;
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct db_box b = { 0 };

		r = read(st, &b, err);
		if (r == 0)
			r = fn(&b, ud);
		db_box_fini(&b);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(db, rc, err);
	sqlite3_finalize(st);
	return r;
}

int db_box_each(struct db *db, db_box_fn *fn, void *ud, struct error *err)
{
	return each_box(db, "SELECT " BOX_COLUMNS " FROM boxes ORDER BY created_at DESC, id", read_box, fn, ud, err);
}

int db_box_each_id(struct db *db, db_box_fn *fn, void *ud, struct error *err)
{
	return each_box(db, "SELECT id, auto_remove FROM boxes", read_id, fn, ud, err);
}
