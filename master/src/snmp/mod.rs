//! The SNMP engine (RFC 3411): SNMPv1, SNMPv2c and SNMPv3, without I/O.

#[cfg(test)]
mod tests;
