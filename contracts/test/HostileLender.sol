// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

interface IToken {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// A lender that speaks as a market of Compound III and as Morpho Blue and does to a payment what it was told to do: a market that
/// owners listed and should not have. HONEST books what it takes.
contract HostileLender {
    uint256 public constant HONEST = 0;
    uint256 public constant KEEP = 1; // takes it, and books nothing
    uint256 public constant MORE = 2; // takes one unit more than it was let
    uint256 public constant REENTER = 3; // calls `to` with `data` in the middle of it
    uint256 public constant LOST = 4; // books it, and the account is liquidatable all the same

    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    uint256 public what;
    address public to;
    bytes public told;
    address public baseToken;
    address public collateral;
    mapping(address => uint256) public borrowBalanceOf;
    mapping(address => uint256) private _lent;

    function set(address base, address other, address who, uint256 owed) external {
        (baseToken, collateral, borrowBalanceOf[who]) = (base, other, owed);
    }

    function does(uint256 what_, address to_, bytes calldata data) external {
        (what, to, told) = (what_, to_, data);
    }

    // ------------------------------------------------------------------ as Compound III
    function userCollateral(address who, address) external view returns (uint128, uint128) {
        return (uint128(_lent[who]), 0);
    }

    function isLiquidatable(address) external view returns (bool) {
        return what == LOST;
    }

    function supplyTo(address who, address asset, uint256 amount) external {
        _take(asset, amount);
        if (what == KEEP) return;
        if (asset == baseToken) borrowBalanceOf[who] -= amount;
        else _lent[who] += amount;
    }

    // ------------------------------------------------------------------ as Morpho Blue: a share is a millionth of a unit
    function params() public view returns (MarketParams memory) {
        return MarketParams(baseToken, collateral, address(this), address(this), 0.86e18);
    }

    function idToMarketParams(bytes32) external view returns (MarketParams memory) {
        return params();
    }

    function idOf() external view returns (bytes32) {
        return keccak256(abi.encode(params()));
    }

    function price() external view returns (uint256) {
        return what == LOST ? 0 : 1e36;
    }

    function position(bytes32, address who) external view returns (uint256, uint128, uint128) {
        return (0, uint128(borrowBalanceOf[who] * 1e6), uint128(_lent[who] + 1e24));
    }

    function market(bytes32) external pure returns (uint128, uint128, uint128, uint128, uint128, uint128) {
        return (0, 0, 1e12 - 1, 1e18 - 1e6, 0, 0);
    }

    function accrueInterest(MarketParams calldata) external {}

    function repay(MarketParams calldata, uint256 amount, uint256 shares, address who, bytes calldata)
        external
        returns (uint256, uint256)
    {
        if (amount == 0) amount = shares / 1e6;
        _take(baseToken, amount);
        if (what != KEEP) borrowBalanceOf[who] -= amount;
        return (amount, shares);
    }

    function supplyCollateral(MarketParams calldata, uint256 amount, address who, bytes calldata) external {
        _take(collateral, amount);
        if (what != KEEP) _lent[who] += amount;
    }

    function _take(address asset, uint256 amount) private {
        if (what == REENTER) {
            (bool ok, bytes memory answer) = to.call(told);
            if (!ok) {
                assembly {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
        require(IToken(asset).transferFrom(msg.sender, address(this), what == MORE ? amount + 1 : amount), "not paid");
    }
}
