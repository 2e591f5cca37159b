/* The objects inside snmpd itself: a module that snmpd.conf's `dlmod inside FILE` loads. */
#include "objects.h"

void init_inside(void);

void init_inside(void)
{
    register_objects(10000, 10, 100);
}
