# Makes a C string literal of each line.
s/["\\]/\\&/g
s/.*/"&\\n"/
