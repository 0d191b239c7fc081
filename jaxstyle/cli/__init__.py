"""The command line: parse, call, print.

Exit status: 0 done, 2 the user's mistake (one message, no traceback), 130 interrupted (the image so far is saved).
"""
