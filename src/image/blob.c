#include "image/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/log.h"

#define REHASH_BUFFER (256 * KIB)
#define WRITE_BACK_BYTES (8 * MIB) /* written out while more arrives, so that the sync at the end is short */

static void request(struct blob_get *b);

static void tell(struct blob_get *b, enum image_phase phase, uint64_t done)
{
	struct image_progress p = {
		.phase = phase, .item = b->item, .items = b->items, .done = done, .total = b->desc.size,
	};

	if (!b->items)
		return;
	fetch_short(p.digest, b->desc.hex);
	fetch_progress(b->fetch, &p, &b->told_ms);
}

static bool is_full_disk(int code)
{
	return code == -ENOSPC || code == -EDQUOT;
}

/* Does what has arrived stay for the next attempt after a failure with this code? Not on a full disk: the space is
 * needed more than the bytes. */
static bool is_worth_keeping(const struct blob_get *b, int code)
{
	struct stat st;

	return !is_full_disk(code) && b->claim.fd >= 0 && fstat(b->claim.fd, &st) == 0 && st.st_size > 0;
}

/* The end, good or bad. */
static void finish(struct blob_get *b, const struct error *err)
{
	claim_drop(&b->claim, err && is_worth_keeping(b, err->code));
	b->active = false;
	b->on_done(b, err);
}

static void fail(struct blob_get *b, int code, const char *doing)
{
	struct error err = { 0 };

	error_code(&err, code, "%s: cannot %s", b->what, doing);
	finish(b, &err);
}

static int check_size(const struct blob_get *b, uint64_t size, struct error *err)
{
	if (size == b->desc.size)
		return 0;
	return error_set(err, -EBADMSG, "%s: the manifest says %llu bytes, but content of this digest has %llu",
			 b->what, (unsigned long long)b->desc.size, (unsigned long long)size);
}

/* Starts a thread that owns the claim until `done`. */
static int start_claim_work(struct blob_get *b, int (*run)(struct work *), void (*done)(struct work *, int))
{
	int r;

	b->claim_in_thread = true;
	r = work_start(&b->work, &b->fetch->loop, run, done);
	if (r < 0)
		b->claim_in_thread = false;
	return r;
}

/* --- publishing ------------------------------------------------------------------------------- */

static int publish_run(struct work *w)
{
	struct blob_get *b = container_of(w, struct blob_get, work);

	return claim_publish(&b->claim);
}

static void publish_done(struct work *w, int result)
{
	struct blob_get *b = container_of(w, struct blob_get, work);
	struct error err = { 0 };

	b->claim_in_thread = false;
	if (result < 0)
		store_write_error(&b->fetch->store, result, &err);
	finish(b, err.code ? &err : NULL);
}

/* Begins again from nothing: 0 or -errno. */
static int start_over(struct blob_get *b)
{
	b->done_bytes = 0;
	b->resumed = false;
	if (ftruncate(b->claim.fd, 0) < 0)
		return -errno;
	return digest_begin(&b->digest);
}

static void verify(struct blob_get *b)
{
	char hex[DIGEST_HEX + 1];
	struct error err = { 0 };
	int r;

	digest_end(&b->digest, hex);
	if (!memcmp(hex, b->desc.hex, DIGEST_HEX)) {
		r = start_claim_work(b, publish_run, publish_done);
		if (r < 0)
			fail(b, r, "start a thread");
		return;
	}
	if (b->resumed) {
		log_info("%s: an earlier partial download was bad, beginning again", b->what);
		r = start_over(b);
		if (r < 0)
			fail(b, r, "truncate");
		else
			request(b);
		return;
	}
	/* Nothing here is worth resuming. */
	claim_drop(&b->claim, false);
	error_set(&err, -EBADMSG, "%s: the registry sent other content than the manifest promises (sha256:%.12s, got "
				  "%.12s)", b->what, b->desc.hex, hex);
	finish(b, &err);
}

/* --- downloading ------------------------------------------------------------------------------ */

static int on_restart(struct registry_get *get, struct error *err)
{
	struct blob_get *b = container_of(get, struct blob_get, get);
	int r = start_over(b);

	return r < 0 ? store_write_error(&b->fetch->store, r, err) : 0;
}

static int on_data(struct registry_get *get, const void *p, size_t n, struct error *err)
{
	struct blob_get *b = container_of(get, struct blob_get, get);
	uint64_t begun = b->done_bytes / WRITE_BACK_BYTES;
	int r = io_pwrite_full(b->claim.fd, p, n, b->done_bytes);

	if (r < 0)
		return store_write_error(&b->fetch->store, r, err);
	digest_add(&b->digest, p, n);
	b->done_bytes += n;
	if (b->done_bytes / WRITE_BACK_BYTES != begun)
		sync_file_range(b->claim.fd, (off64_t)(begun * WRITE_BACK_BYTES), WRITE_BACK_BYTES,
				SYNC_FILE_RANGE_WRITE);
	tell(b, IMAGE_DOWNLOADING, b->done_bytes);
	return 0;
}

static void on_got(struct registry_get *get, const struct error *err)
{
	struct blob_get *b = container_of(get, struct blob_get, get);

	if (err)
		finish(b, err);
	else
		verify(b);
}

static void request(struct blob_get *b)
{
	struct error err = { 0 };

	if (b->done_bytes == b->desc.size) {
		verify(b);
		return;
	}
	b->get.accept = NULL;
	b->get.what = b->what;
	b->get.size = b->desc.size;
	b->get.offset = b->done_bytes;
	b->get.on_restart = on_restart;
	b->get.on_data = on_data;
	b->get.on_done = on_got;
	snprintf(b->get.path, sizeof(b->get.path), "blobs/sha256:%s", b->desc.hex);
	tell(b, IMAGE_DOWNLOADING, b->done_bytes);
	if (registry_start(b->registry, &b->get, &err) < 0)
		finish(b, &err);
}

/* --- beginning ---------------------------------------------------------------------------------- */

/* Hashes what an earlier attempt left in the file, at most what the blob may have. */
static int rehash_run(struct work *w)
{
	struct blob_get *b = container_of(w, struct blob_get, work);
	uint8_t *mem = malloc(REHASH_BUFFER);
	ssize_t n;

	if (!mem)
		return -ENOMEM;
	while ((n = pread(b->claim.fd, mem, REHASH_BUFFER, (off_t)b->done_bytes)) > 0) {
		digest_add(&b->digest, mem, (size_t)n);
		b->done_bytes += (uint64_t)n;
	}
	free(mem);
	return n < 0 ? -errno : 0;
}

static void rehash_done(struct work *w, int result)
{
	struct blob_get *b = container_of(w, struct blob_get, work);

	if (result < 0) {
		fail(b, result, "read the partial download");
		return;
	}
	if (b->done_bytes)
		log_info("%s: resuming at byte %llu", b->what, (unsigned long long)b->done_bytes);
	request(b);
}

/* With the claim held: goes on from what is in the file. 0 or -errno. Also an empty file takes the way through
 * the thread, so that the end is never reported from within blob_start(). */
static int begin(struct blob_get *b)
{
	struct stat st;
	int r = 0;

	if (fstat(b->claim.fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > b->desc.size)
		r = start_over(b);
	else
		r = digest_begin(&b->digest);
	b->done_bytes = 0;
	b->resumed = st.st_size > 0;
	return r < 0 ? r : work_start(&b->work, &b->fetch->loop, rehash_run, rehash_done);
}

static int wait_run(struct work *w)
{
	struct blob_get *b = container_of(w, struct blob_get, work);

	return claim_wait(&b->claim);
}

static void wait_done(struct work *w, int result)
{
	struct blob_get *b = container_of(w, struct blob_get, work);
	struct error err = { 0 };
	uint64_t size = 0;

	b->claim_in_thread = false;
	if (result == CLAIM_PRESENT) {
		store_blob_size(&b->fetch->store, b->desc.hex, &size);
		check_size(b, size, &err);
		finish(b, err.code ? &err : NULL);
		return;
	}
	b->told_ms = 0;
	if (result == CLAIM_HELD)
		result = begin(b);
	if (result < 0)
		fail(b, result, "begin the download");
}

int blob_start(struct blob_get *b, struct error *err)
{
	uint64_t size;
	int r;

	b->active = false;
	b->told_ms = 0;
	claim_blob(&b->claim, &b->fetch->store, b->desc.hex);
	if (store_blob_size(&b->fetch->store, b->desc.hex, &size) == 0) {
		r = check_size(b, size, err);
		return r < 0 ? r : 1;
	}
	r = claim_try(&b->claim);
	if (r == CLAIM_PRESENT)
		return blob_start(b, err); /* it appeared just now */
	if (r == CLAIM_BUSY) {
		tell(b, IMAGE_WAITING, 0);
		r = start_claim_work(b, wait_run, wait_done);
	} else if (r == CLAIM_HELD) {
		r = begin(b);
	}
	if (r < 0) {
		claim_drop(&b->claim, true);
		return store_write_error(&b->fetch->store, r, err);
	}
	b->active = true;
	return 0;
}

void blob_abandon(struct blob_get *b)
{
	bool litter;
	int code;

	if (!b->active)
		return;
	code = b->fetch->err.code;
	/* What a thread waits for is somebody else's, and what it publishes is complete. */
	if (b->claim_in_thread && !work_ended(&b->work))
		litter = b->work.run == publish_run && is_full_disk(code);
	else
		litter = b->claim.fd >= 0 && !is_worth_keeping(b, code);
	/* Not closed: a thread may still be at work on it. */
	if (litter)
		unlinkat(b->fetch->store.tmp, b->claim.name, 0);
}

void blob_fini(struct blob_get *b)
{
	digest_fini(&b->digest);
}
