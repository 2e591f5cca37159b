/* The objects that all compared programs serve, and their base OID. See README.md. */
#ifndef OBJECTS_H
#define OBJECTS_H

/* Registers the table of `rows` times `columns`, and `scalars` scalars. */
void register_objects(unsigned rows, unsigned columns, unsigned scalars);

#endif
