"""FIX 4.4: messages (`message`), dictionaries (`dictionary`), a session's rules without I/O (`rules`), its numbers on the disk
(`numbers`), and a connection that keeps one session up (`line`). Venues add their dictionary and what their messages mean."""
