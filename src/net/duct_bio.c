#include "net/duct_bio.h"

static int on_write(BIO *b, const char *p, size_t n, size_t *ret)
{
	ssize_t r = duct_send(BIO_get_data(b), p, n);

	BIO_clear_retry_flags(b);
	if (r == 0)
		BIO_set_retry_write(b);
	*ret = (size_t)MAX(r, 0);
	return r < 0 ? -1 : r > 0; /* 0 without a retry: OpenSSL 3.2 takes the record for written */
}

static int on_read(BIO *b, char *to, size_t n, size_t *ret)
{
	struct duct *d = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	*ret = duct_recv(d, to, n);
	if (!*ret && !d->eof)
		BIO_set_retry_read(b);
	return *ret > 0;
}

static long on_ctrl(BIO *b, int what, long n, void *p)
{
	const struct duct *d = BIO_get_data(b);

	(void)n;
	(void)p;
	if (what == BIO_CTRL_EOF)
		return d->eof && !d->in.len;
	return what == BIO_CTRL_FLUSH; /* nothing is kept */
}

static BIO_METHOD *make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "duct");

	if (!m || BIO_meth_set_write_ex(m, on_write) != 1 || BIO_meth_set_read_ex(m, on_read) != 1 ||
	    BIO_meth_set_ctrl(m, on_ctrl) != 1) {
		BIO_meth_free(m);
		return NULL;
	}
	return m;
}

BIO *duct_bio(struct duct *d)
{
	static BIO_METHOD *method; /* for ever: those that are left at the end refer to it */
	BIO *b;

	if (!method)
		method = make_method();
	b = method ? BIO_new(method) : NULL;
	if (!b)
		return NULL;
	BIO_set_data(b, d);
	BIO_set_init(b, 1);
	return b;
}
