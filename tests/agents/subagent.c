/*
 * A subagent on net-snmp's library: subagent SOCKET CONTEXT NAME. It ends with SIGTERM.
 *
 * Below BASE, in the context CONTEXT:
 *   1.0   NAME                                            DisplayString, read-only
 *   2.0   a level, 0 to 100                               Integer32, read-write
 *   3.0   a remark of 1 to 16 octets                      DisplayString, read-write
 *   4.0   2^64 - 1                                        Counter64, read-only
 *   5.0   a trigger: each SET sends a notification        Integer32, read-write; the notification contains it
 *   6.0   an object whose commit always fails             Integer32, read-write
 *   10    a table of three rows with a string as index: column 2 is a number (read-write), 3 a text (read-only)
 */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <signal.h>
#include <stdint.h>

#define BASE 1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 70
#define REMARK_MAX 16

static volatile sig_atomic_t terminated;
static const char *context, *name;
static long level = 50, former_level, notified, brittle;
static char remark[REMARK_MAX + 1] = "none", former_remark[REMARK_MAX + 1];

static void on_term(int signal)
{
    terminated = 1;
}

static void notify(void)
{
    static const oid trap_oid[] = { 1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0 };
    static const oid event[] = { BASE, 0, 1 }, object[] = { BASE, 5, 0 };
    netsnmp_variable_list *list = NULL;
    snmp_varlist_add_variable(&list, trap_oid, OID_LENGTH(trap_oid), ASN_OBJECT_ID, event, sizeof event);
    snmp_varlist_add_variable(&list, object, OID_LENGTH(object), ASN_INTEGER, &notified, sizeof notified);
    send_v2trap(list);
    snmp_free_varbind(list);
}

static void show(netsnmp_agent_request_info *info, netsnmp_request_info *request, oid object)
{
    struct counter64 most = { .high = UINT32_MAX, .low = UINT32_MAX };
    switch (object) {
    case 1: snmp_set_var_typed_value(request->requestvb, ASN_OCTET_STR, name, strlen(name)); break;
    case 2: snmp_set_var_typed_integer(request->requestvb, ASN_INTEGER, level); break;
    case 3: snmp_set_var_typed_value(request->requestvb, ASN_OCTET_STR, remark, strlen(remark)); break;
    case 4: snmp_set_var_typed_value(request->requestvb, ASN_COUNTER64, &most, sizeof most); break;
    case 5: snmp_set_var_typed_integer(request->requestvb, ASN_INTEGER, notified); break;
    case 6: snmp_set_var_typed_integer(request->requestvb, ASN_INTEGER, brittle); break;
    default: netsnmp_set_request_error(info, request, SNMP_ERR_GENERR);
    }
}

/* Returns the error of a new value. */
static int test(const netsnmp_variable_list *value, oid object)
{
    int is_text = object == 3;
    if (value->type != (is_text ? ASN_OCTET_STR : ASN_INTEGER))
        return SNMP_ERR_WRONGTYPE;
    if (is_text && (value->val_len < 1 || value->val_len > REMARK_MAX))
        return SNMP_ERR_WRONGLENGTH;
    if (object == 2 && (*value->val.integer < 0 || *value->val.integer > 100))
        return SNMP_ERR_WRONGVALUE;
    return SNMP_ERR_NOERROR;
}

/* Writes a value, and keeps the old one for undo(). */
static int act(const netsnmp_variable_list *value, oid object)
{
    switch (object) {
    case 2:
        former_level = level;
        level = *value->val.integer;
        return SNMP_ERR_NOERROR;
    case 3:
        strcpy(former_remark, remark);
        memcpy(remark, value->val.string, value->val_len);
        remark[value->val_len] = 0;
        return SNMP_ERR_NOERROR;
    case 5:
        notified = *value->val.integer;
        notify();
        return SNMP_ERR_NOERROR;
    default:
        return SNMP_ERR_COMMITFAILED;
    }
}

static void undo(oid object)
{
    if (object == 2)
        level = former_level;
    if (object == 3)
        strcpy(remark, former_remark);
}

static int on_scalar(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
                     netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
    oid object = registration->rootoid[OID_LENGTH(((oid[]) { BASE }))];
    for (netsnmp_request_info *request = requests; request; request = request->next) {
        int error = SNMP_ERR_NOERROR;
        switch (info->mode) {
        case MODE_GET: show(info, request, object); break;
        case MODE_SET_RESERVE1: error = test(request->requestvb, object); break;
        case MODE_SET_ACTION: error = act(request->requestvb, object); break;
        case MODE_SET_UNDO: undo(object); break;
        }
        if (error != SNMP_ERR_NOERROR)
            netsnmp_set_request_error(info, request, error);
    }
    return SNMP_ERR_NOERROR;
}

static netsnmp_handler_registration *registration(const char *what, Netsnmp_Node_Handler *handler, oid object,
                                                  int modes)
{
    oid root[] = { BASE, object };
    netsnmp_handler_registration *made =
        netsnmp_create_handler_registration(what, handler, root, OID_LENGTH(root), modes);
    if (*context)
        made->contextName = strdup(context);
    return made;
}

static void register_objects(void)
{
    for (oid object = 1; object <= 6; object++) {
        int is_constant = object == 1 || object == 4;
        netsnmp_register_scalar(
            registration("scalar", on_scalar, object, is_constant ? HANDLER_CAN_RONLY : HANDLER_CAN_RWRITE));
    }
    netsnmp_table_data_set *table = netsnmp_create_table_data_set("table");
    netsnmp_table_dataset_add_index(table, ASN_OCTET_STR);
    netsnmp_table_set_add_default_row(table, 2, ASN_INTEGER, 1, NULL, 0);
    netsnmp_table_set_add_default_row(table, 3, ASN_OCTET_STR, 0, NULL, 0);
    netsnmp_register_table_data_set(registration("table", NULL, 10, HANDLER_CAN_RWRITE), table, NULL);
    const char *const rows[] = { "a", "bc", "def" };
    for (long number = 0; number < 3; number++) {
        netsnmp_table_row *row = netsnmp_create_table_data_row();
        netsnmp_table_row_add_index(row, ASN_OCTET_STR, rows[number], strlen(rows[number]));
        netsnmp_set_row_column(row, 2, ASN_INTEGER, &number, sizeof number);
        netsnmp_mark_row_column_writable(row, 2, 1);
        netsnmp_set_row_column(row, 3, ASN_OCTET_STR, rows[number], strlen(rows[number]));
        netsnmp_table_dataset_add_row(table, row);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s SOCKET CONTEXT NAME\n", argv[0]);
        return 2;
    }
    context = argv[2];
    name = argv[3];
    signal(SIGTERM, on_term);
    snmp_enable_stderrlog();
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
    netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, argv[1]);
    /* Tries to reconnect every second after the connection to the master is lost. */
    netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL, 1);
    init_agent("subagent");
    register_objects();
    init_snmp("subagent");
    while (!terminated)
        agent_check_and_process(1);
    snmp_shutdown("subagent");
    return 0;
}
