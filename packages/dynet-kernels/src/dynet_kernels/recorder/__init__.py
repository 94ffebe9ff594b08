"""What records operations, compiled by TVM: functions that CPython calls as it calls functions written in C."""
