"""Does a test notice when the code is wrong?"""
