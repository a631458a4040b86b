/* completion: the scripts of completions/, which are part of this program. */
#include <stdio.h>

#include "base/base.h"
#include "base/str.h"
#include "cli/cli.h"

#define EMBED(name, file)                  \
	__asm__(".section .rodata\n"       \
		#name ":\n"                \
		".incbin \"" file "\"\n"   \
		".byte 0\n"                \
		".previous\n");            \
	extern const char name[]

EMBED(completion_bash, "completions/boxlite.bash");
EMBED(completion_zsh, "completions/boxlite.zsh");
EMBED(completion_fish, "completions/boxlite.fish");

int cmd_completion(const struct global *g, int argc, char **argv)
{
	static const struct {
		const char *shell, *script;
	} scripts[] = { { "bash", completion_bash }, { "zsh", completion_zsh }, { "fish", completion_fish } };
	size_t i;

	(void)g;
	if (argc > 1 && (str_eq(argv[1], "-h") || str_eq(argv[1], "--help")))
		return cli_help("completion", "bash: source <(boxlite completion bash)\n"
					      "zsh:  source <(boxlite completion zsh)\n"
					      "fish: boxlite completion fish | source\n");
	if (argc != 2)
		return cli_usage("completion", "which shell?");
	for (i = 0; i < ARRAY_SIZE(scripts); i++)
		if (str_eq(argv[1], scripts[i].shell))
			return fputs(scripts[i].script, stdout) < 0 ? EXIT_BOXLITE : 0;
	return cli_usage("completion", "there is none for '%s'", argv[1]);
}
