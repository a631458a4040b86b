#!/bin/bash
# include/boxlite.h alone, as the first thing that a program includes, in C99 and C++11 with all warnings.
TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/tests/lib/tap.sh"

cat > "$T/use.c" <<'END'
#include <boxlite.h>
int use(void);
int use(void)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	static const char version[] = BOXLITE_VERSION;
	static struct boxlite_error err;
	return o.size == sizeof(o) && !o.image && !o.debug && !err.text[BOXLITE_ERROR_MAX - 1] && *version;
}
END
for cc in gcc:c99 gcc:c17 clang:c99 clang:c17 g++:c++11 g++:c++20 clang++:c++11 clang++:c++20; do
	as=c
	[[ $cc != *++:* ]] || as=c++
	${cc%:*} -x $as -std="${cc#*:}" -pedantic -Wall -Wextra -Wconversion -Werror -I "$TOP/include" -c "$T/use.c" \
	  -o "$T/use.o" > "$T/log" 2>&1
	is "$? $(head -c 2000 "$T/log")" "0 " "${cc%:*} -std=${cc#*:}"
done

# The macro once more, since it is different code in C++: all is zero but the size.
cat > "$T/main.c" <<'END'
#include <boxlite.h>
int main(void)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	return o.size != sizeof(o) || o.image || o.name || o.command || o.entrypoint || o.env || o.workdir || o.user ||
	       o.engine || o.cpus || o.memory_bytes || o.disk_bytes || o.auto_remove || o.tty || o.stdin_open ||
	       o.stop_grace_ms || o.debug;
}
END
for cc in gcc:c99 g++:c++11; do
	as=c
	[[ $cc != *++:* ]] || as=c++
	${cc%:*} -x $as -std="${cc#*:}" -I "$TOP/include" "$T/main.c" -o "$T/main" && "$T/main"
	ok $? "BOXLITE_OPTIONS of ${cc%:*}"
done
tap_done
