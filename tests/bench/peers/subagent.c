/* The objects in a subagent: subagent SOCKET ROWS COLUMNS SCALARS. It ends with SIGTERM. */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <signal.h>

#include "objects.h"

static volatile sig_atomic_t told_to_end;

static void on_term(int signal)
{
    told_to_end = 1;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s SOCKET ROWS COLUMNS SCALARS\n", argv[0]);
        return 2;
    }
    signal(SIGTERM, on_term);
    snmp_enable_stderrlog();
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
    netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, argv[1]);
    init_agent("subagent");
    register_objects(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    init_snmp("subagent");
    while (!told_to_end)
        agent_check_and_process(1);
    snmp_shutdown("subagent");
    return 0;
}
