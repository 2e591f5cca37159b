/* The objects in a module of snmpd, which `dlmod inside FILE` in snmpd.conf loads. */
#include "objects.h"

void init_inside(void);

void init_inside(void)
{
    register_objects(10000, 10, 100);
}
