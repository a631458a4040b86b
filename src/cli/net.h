/* What of the command line is about the network of boxes. */
#ifndef CLI_NET_H
#define CLI_NET_H

#include "cli/format.h"
#include "cli/run_options.h"

/* Numbers of their options, beyond those of run_options.c. */
enum { OPT_NETWORK = 512, OPT_NET_OPEN, OPT_ALLOW_NET, OPT_DENY_NET, OPT_PUBLISH, OPT_NET_RATE, OPT_NET_CONNECTIONS,
       OPT_SECRET };

/* One of them: 0, or the exit code. */
int net_take_option(struct run_options *o, int opt, const char *value);

json_t *net_list(const char *const *v);                   /* an array of texts; NULL: no memory */
void net_print(const struct boxlite_box_info *i);         /* a line for the network, what is open, and each rule */
json_t *net_json(const struct boxlite_box_info *i);       /* {mode, open, rules, ports, ...}; NULL: no memory */
void net_add_counters(json_t *net, const struct boxlite_metrics *m); /* to that, of a box that runs */
char *net_ports_text(const struct boxlite_box_info *i);   /* new; "127.0.0.1:8080->80/tcp, ..." of a box that runs */

#endif
