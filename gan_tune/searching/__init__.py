"""The search itself: which trial runs next, what is proposed, which trial stops, and which wins.

The room is not called `search` because :func:`gan_tune.search` is the public function of that name.
"""
