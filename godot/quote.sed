# Turns each line into a C string literal.
s/["\\]/\\&/g
s/.*/"&\\n"/
