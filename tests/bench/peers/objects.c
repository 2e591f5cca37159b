/*
 * The table and the scalars, written as in net-snmp's documentation: the table is a netsnmp_tdata, the scalars are one group.
 * All values are constant. OIDs, syntaxes and values are those of tests/bench/src/objects.rs.
 */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <stdint.h>

#include "objects.h"

#define BASE 1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 77
/* The first accessible column. The column before it is the index. */
#define FIRST_COLUMN 2

static int show_cell(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
                     netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
    for (netsnmp_request_info *request = requests; request; request = request->next) {
        if (request->processed)
            continue;
        const uint64_t *cells = netsnmp_tdata_extract_entry(request);
        const netsnmp_table_request_info *position = netsnmp_extract_table_info(request);
        if (!cells || !position) {
            netsnmp_set_request_error(info, request, SNMP_NOSUCHINSTANCE);
            continue;
        }
        unsigned column = position->colnum - FIRST_COLUMN;
        uint64_t value = cells[column];
        if (column % 2 == 0) {
            struct counter64 counter = { .high = value >> 32, .low = value & 0xffffffff };
            snmp_set_var_typed_value(request->requestvb, ASN_COUNTER64, &counter, sizeof counter);
        } else {
            snmp_set_var_typed_integer(request->requestvb, ASN_GAUGE, value);
        }
    }
    return SNMP_ERR_NOERROR;
}

static void register_table(unsigned rows, unsigned columns)
{
    static const oid name[] = { BASE, 1 };
    netsnmp_tdata *table = netsnmp_tdata_create_table("bigTable", 0);
    for (unsigned row = 1; row <= rows; row++) {
        uint64_t *cells = calloc(columns, sizeof *cells);
        for (unsigned column = 0; column < columns; column++)
            cells[column] = (uint64_t) row * columns + column;
        netsnmp_tdata_row *entry = netsnmp_tdata_create_row();
        entry->data = cells;
        netsnmp_tdata_row_add_index(entry, ASN_INTEGER, &row, sizeof row);
        netsnmp_tdata_add_row(table, entry);
    }
    netsnmp_table_registration_info *info = SNMP_MALLOC_TYPEDEF(netsnmp_table_registration_info);
    netsnmp_table_helper_add_indexes(info, ASN_INTEGER, 0);
    info->min_column = FIRST_COLUMN;
    info->max_column = FIRST_COLUMN + columns - 1;
    netsnmp_tdata_register(
        netsnmp_create_handler_registration("bigTable", show_cell, name, OID_LENGTH(name), HANDLER_CAN_RONLY), table,
        info);
}

static int show_scalar(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
                       netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
    for (netsnmp_request_info *request = requests; request; request = request->next) {
        const netsnmp_variable_list *variable = request->requestvb;
        oid scalar = variable->name[variable->name_length - 2];
        snmp_set_var_typed_integer(request->requestvb, ASN_GAUGE, 1000 + scalar);
    }
    return SNMP_ERR_NOERROR;
}

static void register_scalars(unsigned scalars)
{
    static const oid name[] = { BASE, 2 };
    netsnmp_register_scalar_group(
        netsnmp_create_handler_registration("scalars", show_scalar, name, OID_LENGTH(name), HANDLER_CAN_RONLY), 1,
        scalars);
}

void register_objects(unsigned rows, unsigned columns, unsigned scalars)
{
    register_table(rows, columns);
    if (scalars > 0)
        register_scalars(scalars);
}
