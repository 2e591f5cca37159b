-- A role that reads statistics and nothing else.
create role monitor login password 'change-me' in role pg_monitor;
