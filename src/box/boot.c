#include "box/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/io.h"

int boot_id(char ret[BOOT_ID_LEN + 1])
{
	auto_buf struct buf text = BUF_INIT(128);
	int r = io_read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &text);

	if (r == 0 && buf_len(&text) < BOOT_ID_LEN)
		r = -ENODATA;
	if (r < 0)
		return r;
	memcpy(ret, buf_data(&text), BOOT_ID_LEN);
	ret[BOOT_ID_LEN] = 0;
	return 0;
}
